"""A whole host: a device with its own password, mail that is forwarded, and an answer while somebody is away."""

import smtplib
from collections.abc import Iterator
from email.policy import SMTP
from pathlib import Path

import pytest

from tests.host import Host, letter, send, wait_until

ANN, BEN, EVE = (f"{name}@example.test" for name in ("ann", "ben", "eve"))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with ann@, ben@ and eve@example.test."""
    with Host(tmp_path / "host").init() as host:
        host.add_domain("example.test")
        for address in (ANN, BEN, EVE):
            host.add_account(address)
        yield host.start()


def can_log_in(host: Host, password: str) -> bool:
    try:
        host.submission(ANN, password).quit()
    except smtplib.SMTPAuthenticationError:
        return False
    return True


def test_an_app_password_opens_submission_and_pop3_until_it_is_revoked(host: Host) -> None:
    password = host.command("account", "app-password", "add", ANN, "phone").strip()
    assert can_log_in(host, password)
    assert can_log_in(host, host.passwords[ANN])
    host.passwords[ANN] = password
    assert host.fetch(ANN) == []
    host.command("account", "app-password", "revoke", ANN, "phone")
    assert not can_log_in(host, password)
    assert host.json("account", "app-password", "list", ANN) == []


def test_forwards_leave_with_and_without_a_copy_and_give_no_rights(host: Host) -> None:
    host.command("account", "forward", ANN, BEN)
    host.command("account", "forward", BEN, ANN, EVE, "--no-copy")
    wait_until(lambda: "eve" in host.command("account", "forward", BEN), "the forwards")

    def reached(mails: dict[str, int]) -> bool:
        host.submit(EVE, [ANN], letter(EVE, ANN))
        counts = {address: len(host.fetch(address)) for address in (ANN, BEN, EVE)}
        return counts[ANN] - mails[ANN] == 1 and counts[BEN] == mails[BEN] and counts[EVE] - mails[EVE] == 1

    wait_until(
        lambda: reached({address: len(host.fetch(address)) for address in (ANN, BEN, EVE)}),
        "mail to Ann in her maildrop and Eve's, none in Ben's",
    )
    with host.submission(EVE) as session:
        assert session.mail(ANN)[0] == 550


def test_an_absent_account_answers_people_once(host: Host) -> None:
    host.command("account", "vacation", ANN, "--text-stdin", "--subject", "Away", stdin="Back in May.\n")
    assert host.json("account", "vacation", ANN)["text"] == "Back in May."

    def is_answered() -> bool:
        host.submit(BEN, [ANN], letter(BEN, ANN))
        return len(host.fetch(BEN)) > 0

    wait_until(is_answered, "an answer for Ben", every=0.5)
    host.submit(BEN, [ANN], letter(BEN, ANN))
    listed = letter(EVE, ANN)
    listed["List-Id"] = "<list.example.test>"
    host.submit(EVE, [ANN], listed)
    with host.mx() as session:
        send(session, "", [ANN], letter("daemon@far.test", ANN).as_bytes(policy=SMTP))
    host.command("account", "vacation", BEN, "--text-stdin", stdin="Gone.\n")
    answer_from_ben = wait_until(lambda: _mails_to_eve(host), "an answer of Ben's for Eve", every=0.5)
    assert b"Subject: Auto: a letter\r\n" in answer_from_ben[0]
    (answer,) = host.fetch(BEN)[:1]
    assert answer.startswith(b"Return-Path: <>\r\n")
    assert b"Subject: Away\r\n" in answer
    assert b"Auto-Submitted: auto-replied\r\n" in answer
    assert [b"From: <ann@" in mail for mail in host.fetch(BEN)].count(True) == 1
    assert not any(b"From: <ann@" in mail for mail in host.fetch(EVE))


def _mails_to_eve(host: Host) -> list[bytes]:
    host.submit(EVE, [BEN], letter(EVE, BEN))
    return [mail for mail in host.fetch(EVE) if b"From: <ben@" in mail]
