"""SMTP on a transport: time-outs (RFC 5321 section 4.5.3.2), slow-down, bounds, back-pressure, the host's end."""

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstack.config import Smtp
from mailstack.net.bounds import ConnectionBounds
from mailstack.net.smtp_connection import LINGER_SECONDS, READ_AHEAD_OCTETS, SmtpConnection
from mailstack.net.smtp_server import LAST_WORDS_SECONDS, SmtpServerFactory
from mailstack.smtp.questions import Service
from tests.net.transport import Transport
from tests.smtp.reception import FakeReception, FakeSink

LIMITS = Smtp()
COMMAND = LIMITS.command_timeout.total_seconds()
DATA = LIMITS.data_timeout.total_seconds()
SESSION = LIMITS.session_timeout.total_seconds()
GRACE = LIMITS.shutdown_grace.total_seconds()
ENVELOPE = b"EHLO a\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<a@example.test>\r\n"
MIB = 1 << 20


class Lab:
    """A server on transports in memory; the first client is connected."""

    def __init__(self, reception: Any = None, *, implicit_tls: bool = False, **limits: Any) -> None:
        self.clock = Clock()
        self.reception = reception or FakeReception()
        self.bugs: list[Any] = []
        settings = Smtp(**limits)
        self.factory = SmtpServerFactory(
            self.reception,
            settings,
            service=Service.MX,
            hostname="mx.example.test",
            tls=object(),  # type: ignore[arg-type]
            clock=self.clock,  # type: ignore[arg-type]
            report_bug=lambda what, failure: self.bugs.append(failure),
            bounds=ConnectionBounds(3, 2),
            implicit_tls=implicit_tls,
        )
        self.transport, self.protocol = self.connect()

    def connect(self, address: str = "192.0.2.1") -> tuple[Transport, SmtpConnection]:
        peer = (IPv6Address if ":" in address else IPv4Address)("TCP", address, 40_000)
        transport, protocol = Transport(peer), self.factory.buildProtocol(None)
        protocol.makeConnection(transport)
        return transport, protocol

    def send(self, data: bytes) -> bytes:
        self.transport.clear()
        self.protocol.dataReceived(data)
        return self.transport.value()

    def wait(self, seconds: float) -> bytes:
        """What is said meanwhile."""
        self.transport.clear()
        self.clock.advance(seconds)
        return self.transport.value()

    def wait_out(self) -> bytes:
        """What is said until no delay for errors is left."""
        self.transport.clear()
        while self.protocol._is_running:
            self.clock.advance(1)
        return self.transport.value()


@pytest.fixture
def lab() -> Any:
    lab = Lab()
    yield lab
    assert lab.bugs == []


# --- time ---


def test_silence_after_the_greeting_ends_the_session(lab: Lab) -> None:
    assert lab.wait(COMMAND - 1) == b""
    assert lab.wait(2).startswith(b"421 4.4.2 ")
    assert lab.transport.disconnecting


def test_each_command_is_given_its_time_anew(lab: Lab) -> None:
    for _ in range(3):
        assert lab.wait(COMMAND - 1) == b""
        assert lab.send(b"NOOP\r\n").startswith(b"250 ")
    assert lab.wait(COMMAND + 1).startswith(b"421 ")


def test_octets_now_and_then_keep_no_session_alive(lab: Lab) -> None:
    for octet in b"NOO":
        assert lab.send(bytes([octet])) == b""
        said = lab.wait(COMMAND / 3 + 1)
    assert said.startswith(b"421 4.4.2 ")


def test_silence_within_the_content_ends_the_session_and_drops_it(lab: Lab) -> None:
    assert lab.send(ENVELOPE + b"DATA\r\n").endswith(b"dot alone on a line\r\n")
    lab.send(b"Subject: half\r\n")
    assert lab.wait(DATA - 1) == b""
    assert lab.wait(2).startswith(b"421 4.4.2 ")
    assert lab.reception.log[-1] == "abandoned"


def test_content_that_comes_slowly_is_bounded_by_the_sessions_time(lab: Lab) -> None:
    lab.send(ENVELOPE + b"DATA\r\n")
    waited = 0.0
    while not lab.transport.disconnecting and waited < 2 * SESSION:
        lab.send(b"x")
        lab.wait(DATA - 10)
        waited += DATA - 10
    assert SESSION <= waited <= SESSION + DATA
    assert lab.reception.log[-1] == "abandoned"


def test_content_that_begins_late_is_not_cut_off_by_the_sessions_time(lab: Lab) -> None:
    step = COMMAND - 10
    for _ in range(int(SESSION / step)):
        lab.wait(step)
        lab.send(b"NOOP\r\n")
    assert lab.send(ENVELOPE + b"DATA\r\n").endswith(b"dot alone on a line\r\n")
    for _ in range(int(2 * step / (DATA - 10))):
        lab.send(b"x")
        assert lab.wait(DATA - 10) == b""
    assert lab.send(b"\r\n.\r\n").startswith(b"250 ")


@pytest.mark.parametrize("implicit", [True, False])
def test_a_handshake_that_stalls_ends(implicit: bool) -> None:
    lab = Lab(implicit_tls=implicit)
    if not implicit:
        assert lab.send(b"EHLO a\r\nSTARTTLS\r\n").endswith(b"220 2.0.0 ready to start TLS\r\n")
    assert lab.transport.tls == 1
    lab.clock.advance(COMMAND + 1)
    lab.clock.advance(LINGER_SECONDS)
    assert lab.transport.aborted
    lab.protocol.connectionLost()
    assert lab.clock.getDelayedCalls() == []


def test_a_peer_that_does_not_read_our_last_words_is_cut(lab: Lab) -> None:
    lab.send(b"QUIT\r\n")
    assert lab.transport.disconnecting
    assert not lab.transport.aborted
    lab.clock.advance(LINGER_SECONDS)
    assert lab.transport.aborted


# --- errors ---


def test_errors_slow_down_and_then_end_the_session(lab: Lab) -> None:
    for _ in range(1, LIMITS.soft_errors):
        assert lab.send(b"JUNK\r\n").startswith(b"500 ")
    for seconds in range(1, LIMITS.hard_errors - LIMITS.soft_errors + 1):
        assert lab.send(b"JUNK\r\n") == b""
        assert lab.wait(seconds - 0.5) == b""
        assert lab.wait(0.5).startswith(b"500 ")
    assert lab.send(b"JUNK\r\n").startswith(b"421 4.7.0 ")
    assert lab.transport.disconnecting


def test_junk_that_is_pipelined_is_slowed_down_too(lab: Lab) -> None:
    lab.send(b"JUNK\r\n" * 1000)
    assert lab.transport.value() == b""
    assert lab.wait(1).count(b"500 ") == LIMITS.soft_errors
    assert lab.wait(1) == b""
    assert lab.wait(1).count(b"500 ") == 1
    assert lab.wait_out().endswith(b"421 4.7.0 too many errors\r\n")


def test_commands_that_bring_nothing_nearer_become_errors(lab: Lab) -> None:
    assert lab.send(b"NOOP\r\n" * 1000) == b""
    assert lab.wait_out().endswith(b"421 4.7.0 too many errors\r\n")


def test_an_endless_line_is_not_kept_and_has_its_time(lab: Lab) -> None:
    for _ in range(64):
        lab.send(b"x" * 65_536)
        assert lab.protocol._session is not None
        assert lab.protocol._session.buffered_octets <= READ_AHEAD_OCTETS
    assert lab.wait(COMMAND + 1).startswith(b"421 4.4.2 ")


def test_endless_recipients_end(lab: Lab) -> None:
    lab.send(ENVELOPE)
    said = b""
    while not lab.transport.disconnecting and len(said) < MIB:
        said += lab.send(b"RCPT TO:<a@example.test>\r\n" * 100) + lab.wait_out()
    assert said.endswith(b"421 4.7.0 too many errors\r\n")
    assert said.count(b"452 4.5.3 ") > 1000
    assert sum(line.startswith("rcpt") for line in lab.reception.log) == LIMITS.max_recipients


# --- bounds ---


def test_connections_are_bounded_by_address_and_in_all() -> None:
    lab = Lab()
    lab.connect()
    refused, protocol = lab.connect()
    assert refused.value() == b"421 4.7.0 too many connections from your address\r\n"
    assert refused.disconnecting
    protocol.connectionLost()
    third, _ = lab.connect("2001:db8::1")
    assert third.value().startswith(b"220 ")
    assert lab.connect("198.51.100.1")[0].value() == b"421 4.3.2 too many connections; try again later\r\n"
    lab.protocol.connectionLost()
    assert lab.connect("198.51.100.1")[0].value().startswith(b"220 ")


def test_an_ipv6_network_is_one_client() -> None:
    lab = Lab()
    assert [lab.connect(f"2001:db8::{number}")[0].value()[:3] for number in (1, 2)] == [b"220", b"220"]
    lab.protocol.connectionLost()
    assert lab.connect("2001:db8::ffff:3")[0].value().startswith(b"421 4.7.0 ")
    assert lab.connect("2001:db8:0:1::3")[0].value().startswith(b"220 ")


# --- back-pressure ---


def test_a_client_that_reads_no_replies_is_not_served_and_in_the_end_cut(lab: Lab) -> None:
    lab.protocol.pauseProducing()
    lab.send(ENVELOPE)
    assert lab.reception.log == []
    lab.protocol.resumeProducing()
    assert lab.reception.log == ["mail <a@example.org>", "rcpt <a@example.test>"]
    lab.protocol.pauseProducing()
    lab.send(b"NOOP\r\n")
    lab.clock.advance(COMMAND + 1)
    assert lab.transport.aborted
    lab.protocol.connectionLost()
    assert lab.clock.getDelayedCalls() == []


class SlowSink(FakeSink):
    def write(self, data: bytes) -> Deferred[None]:
        super().write(data)
        waits: Deferred[None] = Deferred()
        self.reception.waiting.append(waits)
        return waits

    async def finish(self) -> Any:
        waits: Deferred[None] = Deferred()
        self.reception.waiting.append(waits)
        await waits
        return await super().finish()


class SlowReception(FakeReception):
    """Writing content and the commit wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Deferred[None]] = []

    def content_begins(self, session: Any, envelope: Any) -> SlowSink:
        return SlowSink(self, envelope)

    def go(self) -> None:
        self.waiting.pop(0).callback(None)


def test_content_is_not_read_faster_than_it_is_written() -> None:
    lab = Lab(reception := SlowReception())
    lab.send(ENVELOPE + b"DATA\r\n")
    sent = 0
    while lab.transport.producerState == "producing" and sent < MIB:
        lab.send(b"x" * 998 + b"\r\n")
        sent += 1000
    assert sent <= READ_AHEAD_OCTETS + 2000
    reception.go()
    reception.go()
    assert lab.transport.producerState == "producing"


def test_a_slow_decision_of_ours_is_not_the_clients_silence() -> None:
    lab = Lab(reception := SlowReception())
    lab.send(ENVELOPE + b"DATA\r\n")
    lab.send(b"x\r\n.\r\n")
    reception.go()
    assert lab.wait(COMMAND * 2) == b""
    assert not lab.transport.disconnecting
    reception.go()
    assert lab.transport.value().startswith(b"250 2.0.0 accepted")


def test_who_leaves_while_his_mail_is_committed_leaves_nothing_behind() -> None:
    lab = Lab(reception := SlowReception())
    lab.send(ENVELOPE + b"DATA\r\n")
    lab.send(b"x\r\n.\r\n")
    reception.go()
    lab.protocol.connectionLost()
    reception.go()
    assert len(reception.contents) == 1
    assert "abandoned" not in reception.log
    assert lab.clock.getDelayedCalls() == []


# --- the end of the host ---


def shut_down(lab: Lab) -> Deferred[None]:
    lab.transport.clear()
    return Deferred.fromCoroutine(lab.factory.shutdown())


@pytest.mark.parametrize("said", [b"", b"EHLO a\r\n", b"EHLO a\r\nNOO"])
def test_an_idle_session_hears_421_at_once(lab: Lab, said: bytes) -> None:
    lab.send(said)
    done = shut_down(lab)
    assert lab.transport.value() == b"421 4.3.2 this host is shutting down; try again soon\r\n"
    lab.protocol.connectionLost()
    assert done.called


def test_a_running_transaction_may_end(lab: Lab) -> None:
    lab.send(ENVELOPE + b"DATA\r\n")
    lab.send(b"half ")
    done = shut_down(lab)
    assert lab.transport.value() == b""
    said = lab.send(b"and half\r\n.\r\nMAIL FROM:<b@example.org>\r\n")
    assert said.startswith(b"250 2.0.0 accepted")
    assert said.endswith(b"421 4.3.2 this host is shutting down; try again soon\r\n")
    lab.protocol.connectionLost()
    assert done.called


@pytest.mark.parametrize("said", [ENVELOPE, ENVELOPE + b"DATA\r\nhalf", ENVELOPE + b"BDAT 10\r\nhalf"])
def test_a_transaction_that_does_not_end_hears_421_after_the_grace(lab: Lab, said: bytes) -> None:
    lab.send(said)
    done = shut_down(lab)
    lab.clock.advance(GRACE)
    assert lab.transport.value() == b"421 4.3.2 this host is shutting down; try again soon\r\n"
    assert lab.transport.disconnecting
    lab.clock.advance(LAST_WORDS_SECONDS)
    assert lab.transport.aborted
    assert done.called


def test_a_session_that_is_being_slowed_down_hears_421_after_its_wait(lab: Lab) -> None:
    lab.send(b"JUNK\r\n" * LIMITS.soft_errors)
    shut_down(lab)
    lab.clock.advance(2)
    assert lab.transport.value().endswith(b"421 4.3.2 this host is shutting down; try again soon\r\n")


def test_a_handshake_does_not_delay_the_end() -> None:
    lab = Lab(implicit_tls=True)
    shut_down(lab)
    assert lab.transport.aborted


def test_who_connects_meanwhile_hears_421(lab: Lab) -> None:
    shut_down(lab)
    assert lab.connect()[0].value() == b"421 4.3.2 this host is shutting down; try again soon\r\n"


def test_what_is_committed_when_the_grace_ends_is_not_waited_for_for_ever() -> None:
    lab = Lab(reception := SlowReception())
    lab.send(ENVELOPE + b"DATA\r\n")
    lab.send(b"x\r\n.\r\n")
    reception.go()
    done = shut_down(lab)
    lab.clock.advance(GRACE)
    assert lab.transport.aborted
    lab.clock.advance(LAST_WORDS_SECONDS)
    assert done.called
