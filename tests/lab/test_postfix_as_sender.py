"""A real Postfix sends to our port 25: TLS, pipelining, large mail, many recipients, reports, refusals, a mail loop.

Its client speaks no CHUNKING; ours does, to Postfix's server (`test_postfix_as_mx`) and to ourselves.
"""

import re
import smtplib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email.policy import SMTP

import pytest

from tests.host import Host, letter, wait_until
from tests.lab.needs import needs, needs_root
from tests.lab.peers import Postfix, peer_folder

pytestmark = [*needs("postfix"), needs_root("starts Postfix")]

CAROL, BOB = "carol@peer.test", "bob@example.test"
OURS = ("example.test", "loop.test")
"""Domains that Postfix sends on to us; the second one we send back."""
READERS = [f"reader{number}@example.test" for number in range(5)]


@dataclass
class World:
    host: Host
    postfix: Postfix

    def send(self, recipients: list[str], *, text: str = "hello\n", options: tuple[str, ...] = ()) -> None:
        """Give a mail of Carol's to Postfix, which passes it on."""
        content = letter(CAROL, *recipients, text=text).as_bytes(policy=SMTP)
        with smtplib.SMTP(self.postfix.address, self.postfix.port, timeout=60) as session:
            session.sendmail(CAROL, recipients, content, rcpt_options=options)

    def carols_mail(self) -> str:
        """The one mail in Carol's box, which is emptied."""

        def arrived() -> list[bytes]:
            return self.postfix.mails("carol")

        words = f"mail for Carol\n{self.host.log_text()[-1500:]}{self.log()[-3000:]}"
        mails = wait_until(arrived, words, timeout=60)
        self.postfix.clear("carol")
        (mail,) = mails
        return mail.decode()

    def bobs_mail(self) -> bytes:
        """The one mail in Bob's maildrop, which is emptied."""
        (mail,) = self.host.wait_for_mail(BOB, timeout=60)
        self.host.fetch(BOB, delete=True)
        return mail

    def log(self) -> str:
        return self.postfix.log.read_text(errors="replace")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        folder = stack.enter_context(peer_folder("sender"))
        postfix = Postfix(folder, "sender", {})
        settings = {"outbound": {"prohibited_networks": []}, "smtp": {"check_sender_domain": False}}
        host = stack.enter_context(Host(folder / "host", settings=settings))
        host.init()
        us = f"[127.0.0.1]:{host.ports['smtp']}"
        postfix.settings = {
            "mynetworks": "127.0.0.0/8",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "virtual_mailbox_domains": "peer.test",
            "virtual_mailbox_maps": postfix.write_map("boxes", {CAROL: "carol/"}),
            "transport_maps": postfix.write_map("transport", dict.fromkeys(OURS, f"smtp:{us}")),
            "smtp_tls_security_level": "verify",
            "smtp_tls_verify_cert_match": "mx.example.test",
            "smtp_tls_CAfile": host.folder / "tls" / "cert.pem",
            "hopcount_limit": "200",  # so that it is we who notice the loop
            "debug_peer_list": "127.0.0.1",
            "debug_peer_level": "1",
        }
        stack.callback(postfix.stop)
        postfix.start()
        host.add_domain("example.test")
        there = f"{postfix.address}:{postfix.port}"
        for name in ("peer.test", "loop.test"):
            host.command("domain", "add", name, "--kind", "relay", "--next-hop", there)
        host.add_account(BOB)
        for reader in READERS:
            host.add_account(reader)
        host.command("alias", "add", "all@example.test", *READERS)
        yield World(host.start(), postfix)


def test_mail_comes_in_by_verified_tls_and_pipelining(world: World) -> None:
    world.send([BOB], text="Grüße\n.\n..\n")
    mail = world.bobs_mail()
    assert b" with ESMTPS " in mail
    assert mail.startswith(b"Return-Path: <carol@peer.test>\r\n")
    log = world.log()
    assert re.search(r"server features: 0x\S+ size \d+", log)
    assert "250-PIPELINING" in log
    assert "status=sent (250 2.0.0 accepted as " in log


def test_a_large_mail_comes_in_whole(world: World) -> None:
    text = "".join(f"line {number} of a large mail\n" for number in range(800_000))
    world.send([BOB], text=text)
    mail = world.bobs_mail()
    assert len(text) > 20_000_000
    assert mail.endswith(text.replace("\n", "\r\n").encode())


def test_many_recipients_come_in_one_transaction(world: World) -> None:
    world.send([*READERS, "all@example.test", "bob+tag@example.test"])
    ids = set()
    for reader in READERS:
        for mail in world.host.wait_for_mail(reader, timeout=60):
            ids.update(re.findall(r"with ESMTPS id (\w+)", mail.decode()))
        world.host.fetch(reader, delete=True)
    world.bobs_mail()
    (queue_id,) = ids
    assert f"status=sent (250 2.0.0 accepted as {queue_id})" in world.log()


def test_an_unknown_recipient_is_refused_in_the_session_so_postfix_tells_its_sender(world: World) -> None:
    world.send(["nobody@example.test", BOB])
    world.bobs_mail()
    report = world.carols_mail()
    assert "Final-Recipient: rfc822; nobody@example.test" in report
    assert "Status: 5.1.1" in report
    assert "said: 550 5.1.1" in report


def test_a_wish_for_a_success_report_is_fulfilled(world: World) -> None:
    world.send([BOB], options=("NOTIFY=SUCCESS", "ORCPT=rfc822;B.Ob@example.test"))
    report = world.carols_mail()
    assert "Reporting-MTA: dns; mx.example.test" in report
    assert "Action: delivered" in report
    assert "Original-Recipient: rfc822; B.Ob@example.test" in report
    world.bobs_mail()


def test_a_mail_that_goes_in_circles_is_stopped(world: World) -> None:
    world.send(["anybody@loop.test"])
    report = world.carols_mail()
    assert "5.4.6" in report
    assert "Final-Recipient: rfc822; anybody@loop.test" in report
    wait_until(lambda: world.host.queue() == [], "an empty queue")


def test_mail_waits_in_postfix_while_we_are_away(world: World) -> None:
    world.host.stop()
    world.send([BOB])
    wait_until(lambda: "status=deferred" in world.log(), "a deferral by Postfix")
    world.host.start()
    world.postfix.flush()
    world.bobs_mail()
