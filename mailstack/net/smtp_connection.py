"""SMTP over sockets: moves octets between a Twisted transport and `smtp/session`, and keeps its time.

One coroutine runs for a burst of input, and the replies to pipelined commands leave in one write. Time-outs (RFC 5321
section 4.5.3.2), the read-ahead's bound, TLS and the orderly end are here; nothing of the protocol is. Neighbours:
`smtp/session` below, `smtp_dispatch` for the host's answers, `smtp_server` for what connections share.
"""

import itertools
import secrets
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailstack.mail.reply import Reply
from mailstack.net import bursts
from mailstack.net.bounds import Admission
from mailstack.net.prompt_write import write_promptly
from mailstack.net.smtp_dispatch import Dispatcher
from mailstack.net.tls import describe
from mailstack.smtp import replies
from mailstack.smtp.events import Close, SlowDown, StartTls
from mailstack.smtp.questions import SessionFacts
from mailstack.smtp.session import Session

if TYPE_CHECKING:
    from mailstack.net.smtp_server import SmtpServerFactory

READ_AHEAD_OCTETS = 64 * 1024
"""How much input may wait behind an open question before the transport is told to stop reading."""
LINGER_SECONDS = 10.0
"""How long a peer may take to read our last words."""
_session_numbers = itertools.count(1)


def _make_nonce() -> str:
    return secrets.token_urlsafe(24)


@implementer(IPushProducer, IHandshakeListener, IHalfCloseableProtocol)
class SmtpConnection(Protocol):
    """One connection."""

    transport: Any

    def __init__(self, factory: "SmtpServerFactory") -> None:
        self._factory = factory
        self._clock = factory.clock
        self._command_seconds = factory.limits.command_timeout.total_seconds()
        self._data_seconds = factory.limits.data_timeout.total_seconds()
        self._session: Session | None = None
        self._dispatcher: Dispatcher | None = None
        self._is_admitted = False
        self._is_running = False  # a burst is in work; it may wait for a decision
        self._is_taking_content = False
        self._is_choked = False  # the client does not read our replies
        self._is_reading_paused = False
        self._is_closing = False
        self._has_said_all = False  # the client closed its side; without TLS it may still listen
        self._is_lost = False
        self._waits_for: Deferred[None] | None = None
        self._deadline = 0.0

    # --- from the transport ---

    def connectionMade(self) -> None:
        """Greet, refuse, or begin TLS."""
        transport = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        self._address = _plain_address(transport.getPeer().host)
        self._lengthen_session()
        self._timer = self._clock.callLater(self._command_seconds, self._tick)
        self._expect(self._command_seconds)
        self._factory.connections.add(self)
        refusal = self._admit()
        if refusal is not None:
            if not self._factory.implicit_tls:  # a handshake for the sake of a refusal costs more than it tells
                write_promptly(transport, refusal.octets)
            self._close()
            return
        transport.registerProducer(self, True)
        if self._factory.implicit_tls:
            transport.startTLS(self._factory.tls)
        else:
            self._begin(None)

    def _admit(self) -> Reply | None:
        if self._factory.is_stopping:
            return replies.SHUTTING_DOWN
        match self._factory.bounds.enter(self._address):
            case Admission.TOO_MANY:
                return replies.TOO_MANY_CONNECTIONS
            case Admission.TOO_MANY_FROM_ADDRESS:
                return replies.TOO_MANY_FROM_ADDRESS
        self._is_admitted = True
        return None

    def _begin(self, tls: str | None) -> None:
        facts = SessionFacts(
            number=next(_session_numbers),
            service=self._factory.profile.service,
            client_address=self._address,
            client_port=self.transport.getPeer().port,
            local_port=self.transport.getHost().port,
            tls=tls,
        )
        self._session = Session(facts, self._factory.profile, _make_nonce)
        self._dispatcher = Dispatcher(self._session, self._factory.reception, self._factory.report_bug)
        self._go_on()

    def handshakeCompleted(self) -> None:
        """TLS is on: from the first octet on port 465, after STARTTLS elsewhere."""
        if self._is_closing:
            return
        description = describe(self.transport)
        if self._session is None:
            self._begin(description)
        else:
            self._session.tls_started(description)
            self._go_on()

    def dataReceived(self, data: bytes) -> None:
        """Read on, or keep the octets until the open question is answered."""
        session = self._session
        if session is None or self._is_closing:
            return
        session.receive(data)
        if not self._is_running:
            self._go_on()
        elif session.buffered_octets > READ_AHEAD_OCTETS and not self._is_reading_paused:
            self._is_reading_paused = True
            self.transport.pauseProducing()

    def readConnectionLost(self) -> None:
        """The client will say no more: what it said is answered, so that it need not send its mail twice."""
        self._has_said_all = True
        if not self._is_running:
            self._close()

    def writeConnectionLost(self) -> None:
        """We never close our side alone."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Drop what is unfinished; a commit that has begun goes on."""
        self._is_lost = True
        if self._is_admitted:
            self._factory.bounds.leave(self._address)
        if self._timer.active():
            self._timer.cancel()
        self._factory.forget(self)
        self._wake()
        if self._dispatcher and not self._is_running:
            self._dispatcher.abandon()

    # --- back-pressure: the transport says whether the client reads our replies ---

    def pauseProducing(self) -> None:
        """No more replies for now."""
        self._is_choked = True

    def resumeProducing(self) -> None:
        """The client reads again."""
        self._is_choked = False
        self._wake()

    def stopProducing(self) -> None:
        """The connection is gone; connectionLost follows."""

    # --- one burst ---

    def _go_on(self) -> None:
        session, dispatcher = self._session, self._dispatcher
        if session is not None and dispatcher is not None:
            self._is_running = True
            bursts.run(self._run(session, dispatcher), self._failed)

    async def _run(self, session: Session, dispatcher: Dispatcher) -> None:
        has_progressed = session.is_reading_content
        while not (self._is_lost or self._is_closing):
            if self._is_choked:
                await self._wait_for_reader()
                continue
            event = session.next_event()
            if event is None:
                has_progressed = self._write_output() or has_progressed
                if not self._is_choked:
                    break
            elif isinstance(event, SlowDown):
                await self._wait(event.seconds)
                self._write_output()
            elif isinstance(event, StartTls | Close):
                self._write_output()
                dispatcher.abandon()
                if isinstance(event, Close):
                    self._close()
                else:
                    self._expect(self._command_seconds)
                    self._read_again()
                    self.transport.startTLS(self._factory.tls)
            else:
                has_progressed = True
                await dispatcher.handle(event)
        self._is_running = False
        if self._is_lost:
            dispatcher.abandon()
        elif self._has_said_all:
            self._close()
        elif not self._is_closing:
            self._wait_for_client(session, has_progressed=has_progressed)

    def _wait_for_client(self, session: Session, *, has_progressed: bool) -> None:
        """Without progress the old deadline stands: an octet now and then does not keep a session alive."""
        if session.is_reading_content and not self._is_taking_content:
            self._lengthen_session()
        self._is_taking_content = session.is_reading_content
        if session.is_reading_content:
            self._expect(self._data_seconds)
        elif has_progressed:
            self._expect(self._command_seconds)
        self._read_again()

    def _read_again(self) -> None:
        if self._is_reading_paused and not self._has_said_all:
            self._is_reading_paused = False
            self.transport.resumeProducing()

    def _write_output(self) -> bool:
        output = self._session.take_output() if self._session else b""
        if output:
            write_promptly(self.transport, output)
        return bool(output)

    def _failed(self, failure: Failure) -> None:
        """Our own bug: the client may try again, and sees no traceback."""
        self._is_running = False
        self._factory.report_bug("smtp session", failure)
        if self._dispatcher:
            self._dispatcher.abandon()
        if not (self._is_lost or self._is_closing):
            write_promptly(self.transport, replies.LOCAL_ERROR_AT_CONNECT.octets)
            self._close()

    # --- time ---

    async def _wait_for_reader(self) -> None:
        self._expect(self._command_seconds)
        self._waits_for = Deferred()
        await self._waits_for

    async def _wait(self, seconds: float) -> None:
        self._waits_for = Deferred()
        call = self._clock.callLater(seconds, self._wake)
        await self._waits_for
        if call.active():
            call.cancel()

    def _wake(self) -> None:
        waits_for, self._waits_for = self._waits_for, None
        if waits_for is not None:
            waits_for.callback(None)

    def _lengthen_session(self) -> None:
        """The session's time begins anew: at the greeting, and with each content, so that none is cut off by it."""
        self._session_end = self._clock.seconds() + self._factory.limits.session_timeout.total_seconds()

    def _expect(self, seconds: float) -> None:
        """The client has this long for what it does next, and no longer than the session may last."""
        now = self._clock.seconds()
        self._deadline = min(now + seconds, self._session_end)
        if self._timer.active() and self._timer.getTime() > self._deadline:
            self._timer.reset(max(self._deadline - now, 0))

    def _tick(self) -> None:
        now = self._clock.seconds()
        if self._is_closing:
            self.transport.abortConnection()
            return
        is_our_turn = self._is_running and not self._is_choked
        if is_our_turn or now < self._deadline:
            seconds = self._command_seconds if is_our_turn else self._deadline - now
            self._timer = self._clock.callLater(seconds, self._tick)
        elif self._is_choked or self._session is None:
            self._is_closing = True
            self.transport.abortConnection()  # it reads nothing, or never finished its handshake: no words
        else:
            self._end(replies.TIMED_OUT)

    # --- the end ---

    def stop(self) -> None:
        """Close with 421 as soon as no transaction is open."""
        if self._session is None:
            self.transport.abortConnection()
            return
        self._session.stop()
        if not self._is_running:
            self._go_on()

    def cut(self) -> None:
        """Close with 421 whatever goes on."""
        if self._is_running or self._session is None or self._is_closing:
            self.transport.abortConnection()
        else:
            self._end(replies.SHUTTING_DOWN)

    def _end(self, reply: Reply) -> None:
        if self._session is not None:
            self._session.end(reply)
            self._go_on()

    def _close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(LINGER_SECONDS, self._tick)
        self.transport.unregisterProducer()
        self._read_again()
        self.transport.loseConnection()


def _plain_address(host: str) -> str:
    """An IPv4 peer of a socket for both families is `::ffff:192.0.2.1`; we say 192.0.2.1."""
    if not host.startswith("::ffff:"):
        return host
    address = ip_address(host)
    return str(address.ipv4_mapped or address) if isinstance(address, IPv6Address) else host
