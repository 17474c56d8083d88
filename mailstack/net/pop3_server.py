"""POP3 on a socket: moves octets between the transport and the pure session and carries its questions (RFC 1939, 2595).

Replies to pipelined commands leave in one write. A client that does not read stops being served, one that floods
stops being read, one that is silent for ten minutes, or has not logged in by then, is closed without deleting anything
(RFC 1939 section 3).
Neighbours: `pop3/session` is the protocol, `retrieval` answers (as a `Visit`), `bounds` counts connections.
"""

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailstack.config import Pop3
from mailstack.net.bounds import Admission, ConnectionBounds
from mailstack.net.open_connections import OpenConnections
from mailstack.net.prompt_write import write_promptly
from mailstack.pop3 import replies
from mailstack.pop3.command import State
from mailstack.pop3.maildrop import TopCutter
from mailstack.pop3.questions import (
    Commit,
    Fetch,
    FindVerifier,
    Large,
    LogIn,
    OpenProven,
    Question,
    Refused,
    RefuseUnproven,
    Sent,
    StartTls,
    Visit,
)
from mailstack.pop3.session import Session
from mailstack.wire.dots import DotStuffer

INPUT_OCTETS = 32 * 1024
"""Commands waiting to be acted on: beyond this the client is not read."""
LINGER = timedelta(seconds=20)
"""How long a closed connection may take to drain."""
LET_GO = timedelta(seconds=2)
"""At a shutdown, after its grace: how long an aborted session may take to let go of its maildrop."""
_NOT_NOW = Refused("Not possible just now, try again later", replies.Code.SYS_TEMP)

OnBug = Callable[[str, Failure], None]


class Pop3ServerFactory(ServerFactory):
    """One listening service: POP3 with STLS, or POP3 inside TLS."""

    noisy = False

    def __init__(
        self,
        visit: Callable[[str], Visit],
        settings: Pop3,
        *,
        tls_options: object | None,
        implicit_tls: bool,
        bounds: ConnectionBounds,
        clock: IReactorTime,
        on_bug: OnBug,
        secret: bytes = b"",
    ) -> None:
        """Prepare a service.

        Args:
            visit: makes the answerer of one session, given the client's IP address.
            settings: bounds and time-outs.
            tls_options: Twisted's context factory; None = no TLS, so nobody can log in.
            implicit_tls: whether connections begin with TLS (port 995).
            bounds: counts connections, with other services or alone.
            clock: for time-outs.
            on_bug: is told of exceptions that should not be.
            secret: random, the same on all nodes: makes up SCRAM salts of accounts that do not exist.
        """
        self.visit = visit
        self.settings = settings
        self.tls_options = tls_options
        self.implicit_tls = implicit_tls
        self.bounds = bounds
        self.clock = clock
        self.on_bug = on_bug
        self.secret = secret
        self.connections: OpenConnections[Pop3Server] = OpenConnections(clock)

    def take_settings(self, settings: Pop3) -> None:
        """Other bounds and time-outs from now on."""
        self.settings = settings
        self.bounds.resize(settings.max_connections, settings.max_connections_per_address)

    def buildProtocol(self, addr: IAddress | None) -> "Pop3Server":
        """Serve a connection."""
        return Pop3Server(self)

    def gone(self, connection: "Pop3Server") -> None:
        """A connection has ended."""
        self.connections.discard(connection)

    async def shutdown(self, grace: timedelta) -> None:
        """End all sessions: idle ones at once, others once their question is answered, by force after the grace."""
        for connection in self.connections:
            connection.end_soon()
        await self.connections.wait_until_none(grace.total_seconds())
        for connection in self.connections:
            connection.abort()
        await self.connections.wait_until_none(LET_GO.total_seconds())


@implementer(IPushProducer)
class Pop3Server(Protocol):
    """One connection."""

    transport: Any  # several zope interfaces at once: ITCPTransport, ITLSTransport, IConsumer and IPushProducer

    def __init__(self, factory: Pop3ServerFactory) -> None:
        self._factory = factory
        self._clock = factory.clock
        self._address = ""
        self._admitted = False
        self._asking = False
        self._pumping = False
        self._input_paused = False
        self._output_full = False
        self._lost = False
        self._closing = False
        self._ending = False
        self._drained: Deferred[None] | None = None
        self._active_at = 0.0
        self._timer: IDelayedCall | None = None
        self._visit: Visit | None = None
        self._session: Session

    # --- what Twisted calls -------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Greet, unless there are too many."""
        factory = self._factory
        factory.connections.add(self)
        self._address = getattr(self.transport.getPeer(), "host", "")
        self.transport.setTcpNoDelay(True)
        self._admitted = factory.bounds.enter(self._address) is Admission.WELCOME
        self.transport.registerProducer(self, True)
        if factory.implicit_tls:
            self._start_tls()
        if not self._admitted:
            write_promptly(self.transport, replies.TOO_MANY_CONNECTIONS)
            self._close()
            return
        self._visit = factory.visit(self._address)
        self._session = Session(
            offers=self._visit.offers,
            make_nonce=_make_nonce,
            secret=factory.secret,
            tls_offered=factory.tls_options is not None,
            tls_on=factory.implicit_tls,
        )
        self._active_at = self._clock.seconds()
        self._timer = self._clock.callLater(factory.settings.idle_timeout.total_seconds(), self._look_at_idleness)
        self._pump()

    def dataReceived(self, data: bytes) -> None:
        """Act on what arrived."""
        if self._closing:
            return
        self._session.receive(data)
        self._pump()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let go of the maildrop; a running commit ends first."""
        self._lost = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._admitted:
            self._factory.bounds.leave(self._address)
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained.errback(ConnectionDone())
        elif not self._asking:
            self._run(self._end())

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._output_full = True

    def resumeProducing(self) -> None:
        """The client has read it."""
        self._output_full = False
        self._note_progress()
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained.callback(None)
        else:
            self._pump()

    def stopProducing(self) -> None:
        """The connection is going; `connectionLost` follows."""

    # --- octets -------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Let the session act until it asks, has nothing left, or the client must read first."""
        if self._pumping or self._closing:
            return
        self._pumping = True
        session = self._session
        while not (self._asking or self._output_full or self._lost):
            question = session.run()
            if output := session.take_output():
                self._note_progress()
                write_promptly(self.transport, output)
            if question is not None:
                self._ask(question)
            elif not session.is_full:
                break
        self._pumping = False
        if session.state is State.CLOSED or (self._ending and not self._asking):
            self._close()
        else:
            self._bound_input()

    def _note_progress(self) -> None:
        """Whole commands keep a session alive, not octets now and then; and who has logged in, not who might."""
        if self._visit is not None and self._session.maildrop is not None:
            self._active_at = self._clock.seconds()

    def _bound_input(self) -> None:
        is_much = self._session.waiting_octets > INPUT_OCTETS
        if is_much and not self._input_paused:
            self._input_paused = True
            self.transport.pauseProducing()
        elif self._input_paused and not is_much:
            self._input_paused = False
            self.transport.resumeProducing()

    def _start_tls(self) -> None:
        self.transport.startTLS(self._factory.tls_options)

    # --- questions ----------------------------------------------------------------------------------------------------

    def _ask(self, question: Question) -> None:
        if isinstance(question, StartTls):
            self._start_tls()
            self._session.tls_started()
            return
        self._asking = True
        self._run(self._answer(question))

    async def _answer(self, question: Question) -> None:
        try:
            answer = await self._find_answer(question)
        except ConnectionDone:
            answer = None
        except Exception:  # a bug of ours must not take the maildrop's lock with it
            self._factory.on_bug(f"POP3 {type(question).__name__}", Failure())  # type: ignore[no-untyped-call]
            answer = False if isinstance(question, Commit) else _NOT_NOW
        self._asking = False
        if self._lost:
            await self._end()
            return
        self._session.answer(answer)
        self._pump()

    async def _find_answer(self, question: Question) -> Any:
        visit = cast("Visit", self._visit)
        match question:
            case Fetch(number=number, lines=lines):
                found = await visit.fetch(number)
                return await self._send_large(found, lines) if isinstance(found, Large) else found
            case Commit():
                return await visit.commit()
            case LogIn(username=username, password=password):
                return await visit.log_in(username, password)
            case FindVerifier(username=username):
                return await visit.find_verifier(username)
            case OpenProven(username=username):
                return await visit.open_proven(username)
            case RefuseUnproven(username=username):
                return await visit.refuse_unproven(username)
        raise TypeError(question)

    async def _send_large(self, message: Large, lines: int | None) -> Sent:
        """Send a message block by block, at the client's pace."""
        stuffer = DotStuffer()
        cutter = None if lines is None else TopCutter(lines)
        heading = replies.octets(message.size_octets) if cutter is None else replies.TOP_FOLLOWS
        write_promptly(self.transport, heading)
        try:
            async for block in message.blocks:
                write_promptly(self.transport, stuffer.feed(block if cutter is None else cutter.feed(block)))
                if cutter is not None and cutter.is_done:
                    break
                await self._wait_for_client()
        except ConnectionDone:
            raise
        except Exception:
            self.abort()  # half a message must not look like a whole one
            raise
        finally:
            if close := getattr(message.blocks, "aclose", None):
                await close()
        write_promptly(self.transport, stuffer.finish())
        return Sent()

    async def _wait_for_client(self) -> None:
        if self._lost:
            raise ConnectionDone
        if self._output_full:
            self._drained = Deferred()
            await self._drained

    def _run(self, coroutine: Any) -> None:
        Deferred.fromCoroutine(coroutine).addErrback(lambda failure: self._factory.on_bug("POP3 session", failure))

    # --- the end ------------------------------------------------------------------------------------------------------

    def end_soon(self) -> None:
        """The host stops: close now, or once the open question is answered."""
        self._ending = True
        if not self._asking:
            self._close()

    def abort(self) -> None:
        """Close without waiting for the client to read."""
        self._closing = True
        self.transport.abortConnection()

    def _close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(LINGER.total_seconds(), self.abort)
        self._run(self._let_go())

    async def _let_go(self) -> None:
        visit, self._visit = self._visit, None
        if visit is not None:
            await visit.close()

    async def _end(self) -> None:
        try:
            await self._let_go()
        finally:
            self._factory.gone(self)

    def _look_at_idleness(self) -> None:
        """Runs once in a while instead of being moved with each command."""
        left = self._active_at + self._factory.settings.idle_timeout.total_seconds() - self._clock.seconds()
        if left > 0:
            self._timer = self._clock.callLater(left, self._look_at_idleness)
        elif self._output_full:
            self.abort()
        else:
            self._close()


def _make_nonce() -> str:
    return secrets.token_urlsafe(18)
