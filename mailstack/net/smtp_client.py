"""One SMTP connection to another host: moves the octets of `smtp/client` and keeps the time (RFC 5321 section 4.5.3.2).

Small content goes out in one write; large content streams, as fast as the peer takes it. Neighbours:
`delivery/remote` opens connections and uses them; `tls` makes the options of its handshakes.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailstack.mail.reply import reply
from mailstack.mail.status import Status
from mailstack.net.prompt_write import write_promptly
from mailstack.smtp.client import ClientSession, Ended, Event, Ready, Refused, SendContent, StartTls, State
from mailstack.smtp.client_transaction import Transaction
from mailstack.wire.dots import DotStuffer, stuff

_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait in each state (RFC 5321 section 4.5.3.2, which names the least that a client should)."""

    connect: float = 30.0
    handshake: float = 1 * _MINUTE
    quit: float = 5.0
    """The transaction is over by then, so nobody waits long for a 221."""
    content_block: float = 3 * _MINUTE
    states: dict[State, float] = field(
        default_factory=lambda: {
            State.GREETING: 5 * _MINUTE,
            State.EHLO: 5 * _MINUTE,
            State.HELO: 5 * _MINUTE,
            State.STARTTLS: 5 * _MINUTE,
            State.AUTH: 5 * _MINUTE,
            State.RSET: 5 * _MINUTE,
            State.MAIL: 5 * _MINUTE,
            State.RCPT: 5 * _MINUTE,
            State.DATA: 2 * _MINUTE,
            State.LONE_DOT: 10 * _MINUTE,
            State.FINAL: 10 * _MINUTE,
        }
    )

    def of(self, state: State) -> float | None:
        """Seconds for a state; None where nothing is waited for."""
        if state is State.HANDSHAKE:
            return self.handshake
        if state is State.CONTENT:
            return self.content_block
        return self.states.get(state)


DEFAULT_TIMEOUTS = Timeouts()


@dataclass(frozen=True, slots=True)
class TlsFailed:
    """The handshake came to nothing; the same host may still take mail in the clear."""

    why: str


Opened = Ready | Refused | TlsFailed
Content = bytes | AsyncIterator[bytes]


@implementer(IHandshakeListener, IPushProducer)
class SmtpConnection(Protocol):
    """A connection and its session. Await `opened`, then `send` one transaction after the other, then `quit`."""

    transport: Any

    def __init__(
        self,
        session: ClientSession,
        tls_options: Callable[[], Any],
        clock: Any,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        *,
        implicit_tls: bool = False,
    ) -> None:
        self.session = session
        self.opened: Deferred[Opened] = Deferred()
        self.transactions = 0
        """How many were begun here."""
        self.when_lost: Callable[[SmtpConnection], None] | None = None
        self._tls_options = tls_options
        self._clock = clock
        self._timeouts = timeouts
        self._implicit_tls = implicit_tls
        self._timer: Any = None
        self._deadline: float | None = None
        self._progress: tuple[State, int] | None = None
        self._content: Content = b""
        self._ended: Deferred[Ended] | None = None
        self._resumed: Deferred[None] | None = None
        self._is_handshaking = implicit_tls
        self._is_streaming = False
        self._is_lost = False

    @property
    def is_ready(self) -> bool:
        """A transaction may begin."""
        return self.session.state is State.READY and not self._is_lost

    async def send(self, transaction: Transaction, content: Content) -> Ended:
        """Run one transaction to its end; network trouble is an outcome.

        Args:
            transaction: its commands, and the exact size of the content.
            content: CRLF lines, dots not stuffed; whole, or in blocks.

        Raises:
            whatever the content's blocks raise; the connection is gone then.
        """
        self.transactions += 1
        self._content = content
        ended: Deferred[Ended] = Deferred()
        self._ended = ended
        self.session.begin(transaction)
        self._act([])
        return await ended

    def quit(self) -> None:
        """Close, with a QUIT where one is due: within content it would be taken for more of it."""
        if self._is_lost or self.transport is None:
            return
        if self.session.state is State.READY:
            self.session.quit()
            write_promptly(self.transport, self.session.take_output())
        elif self._is_streaming:
            self.abort()
        else:
            self.transport.loseConnection()
        self._deadline = self._clock.seconds() + self._timeouts.quit
        self._keep_time()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abortConnection()

    # --- Twisted's side -----------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Start the clock, and TLS where it comes first."""
        self.transport.setTcpNoDelay(True)
        if self._implicit_tls:
            self.transport.startTLS(self._tls_options())
        self._act([])

    def dataReceived(self, data: bytes) -> None:
        """Octets from the peer."""
        if self.session.state is State.CLOSED:
            self.transport.loseConnection()  # the reply to QUIT
            return
        self._act(self.session.receive(data))

    def handshakeCompleted(self) -> None:
        """TLS is on."""
        self._is_handshaking = False
        self._watch()
        if self.session.state is State.HANDSHAKE:
            self._act(self.session.tls_started())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whatever was open gets its outcome."""
        self._is_lost = True
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._is_handshaking:
            self._fail_handshake(reason.getErrorMessage())
        else:
            self._act(self.session.connection_lost("was lost"))
        self.resumeProducing()
        if self.when_lost:
            self.when_lost(self)

    def _fail_handshake(self, why: str) -> None:
        self._is_handshaking = False
        if not self.opened.called:
            self.opened.callback(TlsFailed(why))

    # --- what the session wants ---------------------------------------------------------------------------------

    def _act(self, events: list[Event]) -> None:
        output = self.session.take_output()
        content = next((event for event in events if isinstance(event, SendContent)), None)
        if content and isinstance(self._content, bytes):
            output += stuff(self._content) if content.dotted else self._content
            self._content = b""
            self.session.content_sent()
        if output:
            write_promptly(self.transport, output)
        if content and not isinstance(self._content, bytes):
            self._start_stream(self._content, dotted=content.dotted)
        if (progress := (self.session.state, self.session.replies)) != self._progress:
            self._progress = progress
            self._watch()
        for event in events:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if isinstance(event, StartTls):
            self._is_handshaking = True
            self.transport.startTLS(self._tls_options())
        elif isinstance(event, Ready | Refused):
            if not self.opened.called:
                self.opened.callback(event)
        elif isinstance(event, Ended) and self._ended:
            ended, self._ended = self._ended, None
            ended.callback(event)

    def _start_stream(self, blocks: AsyncIterator[bytes], *, dotted: bool) -> None:
        self._content = b""
        self._is_streaming = True
        Deferred.fromCoroutine(self._stream(blocks, dotted)).addErrback(self._break_off)

    async def _stream(self, blocks: AsyncIterator[bytes], dotted: bool) -> None:
        """Write the blocks as the transport takes them (IPushProducer); ends early when the peer does."""
        stuffer = DotStuffer()
        self.transport.registerProducer(self, True)
        try:
            async for block in blocks:
                if self._resumed:
                    await self._resumed
                if self.session.state is not State.CONTENT:
                    return
                write_promptly(self.transport, stuffer.feed(block) if dotted else block)
                self._watch()
            if dotted:
                write_promptly(self.transport, stuffer.finish())
            self.session.content_sent()
            self._watch()
        finally:
            self._is_streaming = False
            self.transport.unregisterProducer()

    def _break_off(self, failure: Failure) -> None:
        """Our own content cannot be read: without its end the peer throws away what it has."""
        ended, self._ended = self._ended, None
        self.abort()
        if ended:
            ended.errback(failure)

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        if not self._resumed:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        """The transport's buffer has drained."""
        resumed, self._resumed = self._resumed, None
        if resumed:
            self._watch()
            resumed.callback(None)

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` says the rest."""

    # --- time -----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Set the deadline of what is waited for now. A timer that rings too early looks again; none is moved."""
        seconds = self._timeouts.of(State.HANDSHAKE if self._is_handshaking else self.session.state)
        self._deadline = self._clock.seconds() + seconds if seconds is not None else None
        self._keep_time()

    def _keep_time(self) -> None:
        if self._deadline is None or self._is_lost:
            return
        if self._timer and self._timer.getTime() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if not self._timer:
            self._timer = self._clock.callLater(max(0.0, self._deadline - self._clock.seconds()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._clock.seconds() < self._deadline:
            self._keep_time()
        elif self._is_handshaking:
            self._fail_handshake("no answer in time")
            self.abort()
        else:
            self._act(self.session.connection_lost("had no answer in time"))
            self.abort()


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and from where."""

    address: str
    port: int
    bind_address: str = ""


async def connect(reactor: Any, target: Target, connection: SmtpConnection, timeout: timedelta) -> Opened:
    """Connect and make the session ready; all that can go wrong with the peer or the network is a value.

    Args:
        reactor: IReactorTCP.
        target: an IP address and port.
        connection: not yet connected.
        timeout: for the TCP connection alone.
    """
    same_family = (":" in target.bind_address) == (":" in target.address)
    binding = (target.bind_address, 0) if target.bind_address and same_family else None
    factory = _ConnectOnce(connection, target)
    connector = reactor.connectTCP(target.address, target.port, factory, timeout.total_seconds(), binding)
    try:
        return await connection.opened
    except CancelledError:
        connector.disconnect()  # nobody would ever use or close it
        raise


class _ConnectOnce(ClientFactory):
    noisy = False

    def __init__(self, connection: SmtpConnection, target: Target) -> None:
        self._connection = connection
        self._target = target

    def buildProtocol(self, _: Any) -> SmtpConnection:
        return self._connection

    def clientConnectionFailed(self, _: Any, reason: Failure) -> None:
        why = reason.getErrorMessage().rstrip(".")
        text = f"cannot connect to {self._target.address} port {self._target.port}: {why}"
        self._connection.opened.callback(Refused(reply(451, Status.NO_ANSWER, text), State.GREETING))
