"""Whole hosts as subprocesses: mail within one, on to another, back as a bounce, held by a limit."""

import smtplib
import threading

import pytest

from tests.host import Host, letter, wait_until


def test_mail_within_one_host_comes_back_whole(near: Host) -> None:
    message = letter("alice@example.test", "bob@example.test", text=".dots\n..more\n.\n")
    queue_id = near.submit("alice@example.test", ["bob@example.test"], message)
    (mail,) = near.fetch("bob@example.test")
    assert mail.endswith(b"\r\n\r\n.dots\r\n..more\r\n.\r\n")
    assert mail.startswith(b"Return-Path: <alice@example.test>\r\nDelivered-To: bob@example.test\r\nReceived: ")
    assert queue_id.encode() in mail
    assert b"ESMTPSA" in mail
    assert near.stop() == 0


def test_strangers_are_not_relayed_and_unknown_ones_refused(near: Host) -> None:
    with near.mx() as session:
        session.mail("x@[192.0.2.1]")
        assert session.rcpt("someone@elsewhere.test")[0] == 550
        code, words = session.rcpt("nobody@example.test")
        assert (code, words[:5]) == (550, b"5.1.1")
        assert session.rcpt("postmaster")[0] == 250
        assert session.rcpt("bob+tag@example.test")[0] == 250


def test_borrowed_names_are_refused(near: Host) -> None:
    with near.submission("alice@example.test") as session:
        assert session.mail("bob@example.test") == (550, session.mail("bob@example.test")[1])
    with pytest.raises(smtplib.SMTPDataError, match=r"5\.7\.1"):
        near.submit("alice@example.test", ["bob@example.test"], letter("bob@example.test", "bob@example.test"))


def test_mail_goes_on_to_the_next_hop_and_can_be_traced(near: Host, far: Host) -> None:
    near.submit("alice@example.test", ["carol@far.test", "bob@example.test"])
    (mail,) = far.wait_for_mail("carol@far.test")
    assert mail.count(b"\r\nReceived: ") == 2
    assert len(near.fetch("bob@example.test")) == 1
    wait_until(lambda: near.queue() == [], "an empty queue")
    (story,) = near.json("trace", "carol@far.test")
    assert next(event["event"] for event in story["events"]) == "accepted"
    delivered = [event for event in story["events"] if event["recipient"] == "carol@far.test"]
    assert delivered[-1]["event"] == "delivered"
    assert "accepted as" in delivered[-1]["detail"], "the other side's own words"


def test_what_the_next_hop_refuses_comes_back_as_a_bounce(near: Host, far: Host) -> None:
    near.submit("alice@example.test", ["nobody@far.test"])
    (bounce,) = near.wait_for_mail("alice@example.test")
    assert bounce.startswith(b"Return-Path: <>\r\n")
    assert b"Final-Recipient: rfc822; nobody@far.test" in bounce
    assert b"Status: 5.1.1" in bounce
    assert b"is not a mailbox here" in bounce


def test_a_next_hop_that_is_away_defers_and_a_retry_delivers(near: Host, far: Host) -> None:
    far.stop()
    near.submit("alice@example.test", ["carol@far.test"])
    wait_until(lambda: near.queue() and near.queue()[0]["last_reply"], "a deferred delivery")
    assert near.queue()[0]["state"] == "waiting"
    far.start()
    near.command("queue", "retry", "--all")
    assert len(far.wait_for_mail("carol@far.test")) == 1


def test_changes_beside_the_server_take_effect_within_a_second(near: Host) -> None:
    near.command("alias", "add", "info@example.test", "bob@example.test")

    def is_taken() -> bool:
        with near.mx() as session:
            session.mail("")
            return session.rcpt("info@example.test")[0] == 250

    wait_until(is_taken, "the new alias", timeout=1.0)


def test_a_limit_refuses_with_its_name_and_holds_until_released(near: Host) -> None:
    near.command("limit", "set", "alice@example.test", "--per", "hour", "--recipients", "1", "--over", "refuse")
    near.command("limit", "set", "bob@example.test", "--per", "hour", "--recipients", "1", "--over", "hold")
    wait_until(lambda: near.json("limit", "show", "bob@example.test"), "the rule")
    threading.Event().wait(1.0)  # the promise of the live directory
    near.submit("alice@example.test", ["bob@example.test"])
    with pytest.raises(smtplib.SMTPException, match=r"4\.7\.1.*alice@example\.test.*frees"):
        near.submit("alice@example.test", ["bob@example.test"])
    near.submit("bob@example.test", ["alice@example.test", "bob@example.test"])
    (held,) = near.queue()
    assert (held["state"], held["recipient"]) == ("held", "bob@example.test")
    near.command("limit", "clear", "bob@example.test")
    near.wait_for_mail("bob@example.test", 2)
