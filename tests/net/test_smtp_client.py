# ruff: noqa: N802 -- the method names of Twisted's protocols
"""The connection's clock and back-pressure, exact, on a fake transport; tests/delivery/test_remote has the sockets."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mailstack.mail.outcome import Deferred as DeferredMail
from mailstack.mail.outcome import Delivered
from mailstack.net.smtp_client import SmtpConnection, TlsFailed
from mailstack.smtp.client import ClientSession, Ended, Ready, Refused
from mailstack.smtp.client_transaction import Transaction

PEER = "mx.example[192.0.2.1]:25"


class Transport(StringTransport):
    aborted = False

    def setTcpNoDelay(self, enabled):
        pass

    def startTLS(self, options):
        pass

    def abortConnection(self):
        self.aborted = True


class Line:
    """A connection, its clock and what it did."""

    def __init__(self, ehlo=b"250-mx\r\n250 PIPELINING\r\n"):
        self.clock = Clock()
        self.transport = Transport()
        self.connection = SmtpConnection(ClientSession("us", PEER), object, self.clock)
        self.opened = []
        self.connection.opened.addCallback(self.opened.append)
        self.connection.makeConnection(self.transport)
        self.ehlo = ehlo

    def ready(self):
        self.hear(b"220 mx\r\n", self.ehlo)
        return self

    def hear(self, *replies):
        for reply in replies:
            self.connection.dataReceived(reply)

    def said(self):
        octets = self.transport.value()
        self.transport.clear()
        return octets

    def send(self, content=b".dot\r\nx\r\n", recipients=1):
        ended = []
        rcpts = [b"RCPT TO:<a>\r\n"] * recipients
        deferred = Deferred.fromCoroutine(
            self.connection.send(Transaction(b"MAIL FROM:<>\r\n", rcpts, 9), content)
        ).addCallback(ended.append)
        return ended, deferred


def test_small_content_is_one_write():
    line = Line().ready()
    ended, _ = line.send()
    line.said()
    line.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert line.said() == b"..dot\r\nx\r\n.\r\n"
    line.hear(b"250 ok\r\n")
    assert isinstance(ended[0].outcomes[0], Delivered)
    assert line.connection.is_ready


@pytest.mark.parametrize(
    ("replies", "seconds"),
    [
        ([], 300),
        ([b"220 mx\r\n"], 300),
        ([b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n"], 300),
    ],
)
def test_a_silent_peer_before_it_is_ready(replies, seconds):
    line = Line()
    line.clock.advance(7)
    line.hear(*replies)
    line.clock.advance(seconds - 8)
    assert not line.opened
    line.clock.advance(8)
    (refused,) = line.opened
    assert isinstance(refused, Refused)
    assert str(refused.reply).startswith("451 4.4.2")
    assert line.transport.aborted


@pytest.mark.parametrize(
    ("replies", "seconds"),
    [
        ([], 300),
        ([b"250 ok\r\n"], 300),
        ([b"250 ok\r\n", b"250 ok\r\n"], 120),
        ([b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"], 600),
    ],
)
def test_a_silent_peer_within_a_transaction(replies, seconds):
    line = Line().ready()
    ended, _ = line.send()
    for reply in replies:
        line.clock.advance(100)
        line.hear(reply)
    line.clock.advance(seconds - 1)
    assert not ended
    line.clock.advance(2)
    (outcome,) = ended[0].outcomes
    assert isinstance(outcome, DeferredMail)
    assert "no answer in time" in outcome.reply.text
    assert line.transport.aborted
    line.connection.connectionLost()
    assert not line.clock.getDelayedCalls()


def test_dribbling_a_reply_wins_no_time():
    line = Line().ready()
    ended, _ = line.send()
    for _ in range(299):
        line.clock.advance(1)
        line.hear(b"2")
        if ended:
            break
    line.clock.advance(2)
    assert ended


def test_the_handshake_has_a_time():
    line = Line()
    line.hear(b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n")
    line.clock.advance(59)
    assert not line.opened
    line.clock.advance(2)
    assert isinstance(line.opened[0], TlsFailed)


def test_lost_in_the_handshake_is_a_matter_of_tls():
    line = Line()
    line.hear(b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n")
    line.connection.connectionLost()
    assert isinstance(line.opened[0], TlsFailed)


def test_ready_waits_for_nothing():
    line = Line().ready()
    assert line.opened == [Ready()]
    line.clock.advance(10_000)
    assert line.connection.is_ready


async def blocks(taken, count=10):
    for number in range(count):
        taken.append(number)
        yield b".%d\r\n" % number


def test_a_full_transport_stops_the_stream():
    line = Line().ready()
    taken = []
    ended, _ = line.send(blocks(taken))
    line.transport.registerProducer = lambda producer, streaming: producer.pauseProducing()
    line.transport.unregisterProducer = lambda: None
    line.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert taken == [0]  # one block in hand, none written
    line.clock.advance(170)
    line.said()
    line.connection.resumeProducing()
    assert line.said() == b"".join(b"..%d\r\n" % number for number in range(10)) + b".\r\n"
    line.clock.advance(599)
    assert not ended
    line.hear(b"250 ok\r\n")
    assert isinstance(ended[0].outcomes[0], Delivered)


def test_a_peer_that_takes_no_content_for_three_minutes():
    line = Line().ready()
    ended, _ = line.send(blocks([]))
    line.transport.registerProducer = lambda producer, streaming: producer.pauseProducing()
    line.transport.unregisterProducer = lambda: None
    line.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    line.clock.advance(181)
    assert isinstance(ended[0].outcomes[0], DeferredMail)
    line.connection.connectionLost()
    assert not line.clock.getDelayedCalls()


def test_own_content_that_breaks_off_never_gets_its_dot():
    async def broken():
        yield b"half\r\n"
        raise OSError("disk")

    line = Line().ready()
    failures = []
    _, deferred = line.send(broken())
    deferred.addErrback(failures.append)
    line.said()
    line.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert line.said() == b"half\r\n"
    assert line.transport.aborted
    assert failures[0].check(OSError)
    line.connection.connectionLost()


def test_no_quit_into_the_content():
    line = Line().ready()
    line.send(blocks([]))
    line.transport.registerProducer = lambda producer, streaming: producer.pauseProducing()
    line.transport.unregisterProducer = lambda: None
    line.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")
    line.said()
    line.connection.quit()
    assert line.said() == b""
    assert line.transport.aborted
    line.connection.connectionLost()


def test_quit_waits_a_little_for_the_reply():
    line = Line().ready()
    line.said()
    line.connection.quit()
    assert line.said() == b"QUIT\r\n"
    line.hear(b"221 bye\r\n")
    assert line.transport.disconnecting
    line.clock.advance(6)
    assert line.transport.aborted


def test_several_transactions_one_after_the_other():
    line = Line().ready()
    for _ in range(3):
        ended, _ = line.send()
        line.hear(b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 ok\r\n")
        assert isinstance(ended[0], Ended)
    assert line.connection.transactions == 3
