"""Sending limits of a whole host, as its users and their administrator meet them."""

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import Host, send, wait_until

ALICE, BOB, POSTMASTER = "alice@example.test", "bob@example.test", "postmaster@example.test"
CONTENT = b"Subject: x\r\n\r\nx\r\n"
LIMITS = {"held_backlog": 3, "freeze_first_time": 6, "freeze_factor": 1}


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Host:
    host = Host(tmp_path_factory.mktemp("template") / "host", settings={"limits": LIMITS}).init()
    host.add_domain("example.test")
    for name in (ALICE, BOB, POSTMASTER):
        host.add_account(name)
    host.command("limit", "clear", "*")
    return host


@pytest.fixture
def host(tmp_path: Path, _template: Host) -> Iterator[Host]:
    """A host without limits, where tagged addresses of bob@ are as many recipients as one likes."""
    with _template.copy(tmp_path / "host") as host:
        yield host


def bob(number: int) -> str:
    return f"bob+{number}@example.test"


def submit(host: Host, *recipients: str) -> str:
    with host.submission(ALICE) as session:
        return send(session, ALICE, recipients, CONTENT)


def test_recipients_of_one_message_are_capped_and_the_rest_goes_in_another(host: Host) -> None:
    host.command("limit", "set", "*", "--per", "message", "--recipients", "2")
    host.start()
    with host.submission(ALICE) as session:
        session.mail(ALICE)
        codes = [session.rcpt(bob(number)) for number in range(3)]
        assert [code for code, _ in codes] == [250, 250, 452]
        assert codes[2][1].startswith(b"4.5.3 over the limit of 2 recipients per message for every account")
        assert session.data(CONTENT)[0] == 250
        send(session, ALICE, [bob(2)], CONTENT)
    assert len(host.fetch(BOB)) == 2


def test_new_recipients_are_refused_at_rcpt_known_ones_are_not_and_a_restart_forgets_nothing(host: Host) -> None:
    host.command("limit", "set", ALICE, "--per", "day", "--first-time", "2")
    host.start()
    submit(host, bob(1), bob(2))
    host.stop()
    host.start()
    submit(host, bob(1), bob(2))
    with host.submission(ALICE) as session:
        session.mail(ALICE)
        assert session.rcpt(bob(1))[0] == 250
        code, words = session.rcpt(bob(3))
        assert code == 450
        assert words.startswith(
            b"4.7.1 over the sending limit of 2 first-time recipients per day for alice@example.test"
        )
        assert b"it frees at 2" in words
        assert session.data(CONTENT)[0] == 250, "those that were accepted still go"
    (shown,) = host.json("limit", "show", ALICE)
    assert (shown["first_time"], shown["used_first_time"], shown["used_recipients"]) == (2, 2, 5)


def test_what_is_over_is_held_up_to_the_backlog_told_of_and_let_go(host: Host) -> None:
    host.command("limit", "set", ALICE, "--per", "hour", "--recipients", "1", "--over", "hold")
    host.start()
    submit(host, bob(0), bob(1), bob(2))
    with pytest.raises(smtplib.SMTPDataError, match=r"4\.3\.1.*held already.*limit: 1 recipient per hour"):
        submit(host, bob(3), bob(4))
    assert {row["state"] for row in host.queue()} == {"held"}
    (notice,) = host.wait_for_mail(ALICE)
    assert b"Auto-Submitted: auto-generated" in notice
    assert b"has used all of a sending limit" in notice
    assert len(host.fetch(POSTMASTER)) == 1
    host.command("limit", "clear", ALICE)
    wait_until(lambda: host.queue() == [], "what was held is delivered")
    assert len(host.fetch(BOB)) == 1, "one copy for one mailbox"


def test_a_burst_is_frozen_receives_on_and_one_act_lets_it_go(host: Host) -> None:
    host.start()
    submit(host, *(bob(number) for number in range(7)))
    (told,) = host.wait_for_mail(POSTMASTER)
    assert b"Subject: alice@example.test is frozen" in told
    assert " frozen account=alice@example.test" in host.log_text()
    queue_id = submit(host, bob(8))
    (held,) = host.queue()
    assert (held["state"], held["message"]) == ("held", queue_id)
    assert "recipients that it never wrote to before" in held["held_by"]
    assert len(host.fetch(ALICE)) == 1, "it fetches, and was told too"
    host.command("account", "unfreeze", ALICE)
    host.wait_for_mail(BOB, 2)
    wait_until(lambda: host.events(queue_id)[-1] == "delivered", "the story of the held mail ends well")
    story = list(dict.fromkeys(host.events(queue_id)))  # its mailbox and its tagged name each have a line at the end
    assert story == ["accepted", "held", "released", "delivered"]
    submit(host, bob(9))
    assert host.queue() == [], "what went before the look freezes nobody again"
