"""SMTP as a client speaks it, pure: octets and wishes in, octets and events out (RFC 5321, 2920, 3030, 3207, 4954).

`net/smtp_client` moves the octets and keeps the time. A session first makes itself ready (greeting, EHLO,
STARTTLS, AUTH); then it takes transactions one after the other. `State` names the reply that is waited for,
pipelined or not.
"""

from base64 import b64encode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from mailstack.mail.outcome import Deferred, Outcome
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.smtp.client_extensions import NO_EXTENSIONS, read_extensions
from mailstack.smtp.client_replies import BrokenPeerError, ReplyReader
from mailstack.smtp.client_transaction import Transaction, refusal


class State(Enum):
    """What the session waits for."""

    GREETING = "the greeting"
    EHLO = "the reply to EHLO"
    HELO = "the reply to HELO"
    STARTTLS = "the reply to STARTTLS"
    HANDSHAKE = "the TLS handshake"
    AUTH = "the reply to AUTH"
    READY = "nothing"
    RSET = "the reply to RSET"
    MAIL = "the reply to MAIL"
    RCPT = "the reply to RCPT"
    DATA = "the reply to DATA"
    CONTENT = "the content to be sent"
    FINAL = "the reply to the content"
    LONE_DOT = "the reply to an empty message"
    CLOSED = "the end"


class TlsPolicy(Enum):
    """What to do about STARTTLS."""

    NEVER = auto()
    OPPORTUNISTIC = auto()
    REQUIRED = auto()


@dataclass(frozen=True, slots=True)
class Credentials:
    """A log-in at a smarthost; it is sent over TLS or not at all."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class StartTls:
    """Start the handshake, then call `tls_started`."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A transaction may begin."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The session came to nothing; the reply is the peer's, or ours when the peer said nothing usable."""

    reply: Reply
    during: State


@dataclass(frozen=True, slots=True)
class SendContent:
    """Write the content now, then call `content_sent`."""

    dotted: bool
    """True after DATA: stuff dots and end with a lone one; False after BDAT: the octets as they are."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The transaction is over."""

    outcomes: tuple[Outcome, ...]
    nothing_begun: bool = False
    """The connection was lost before the peer took MAIL: when it had been idle, a new one may well do."""


Event = StartTls | Ready | Refused | SendContent | Ended


class ClientSession:
    """One connection's protocol state. Call a method, write `take_output()`, act on the events."""

    def __init__(
        self,
        hostname: str,
        peer: str,
        *,
        tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC,
        credentials: Credentials | None = None,
        is_encrypted: bool = False,
    ) -> None:
        self.state = State.GREETING
        self.extensions = NO_EXTENSIONS
        self.is_encrypted = is_encrypted
        self.replies = 0
        """How many whole replies came in: what tells progress from a peer that dribbles octets."""
        self._hostname = hostname
        self.peer = peer
        self._tls = tls
        self._credentials = credentials
        self._sasl_answers: deque[bytes] = deque()
        self._reader = ReplyReader()
        self._output: list[bytes] = []
        self._transaction: Transaction | None = None
        self._needs_reset = False
        self._unsent: deque[tuple[State, int, bytes]] = deque()
        self._unanswered: deque[tuple[State, int]] = deque()

    def take_output(self) -> bytes:
        """What is to be written now."""
        output, self._output = self._output, []
        return b"".join(output)

    def receive(self, data: bytes) -> list[Event]:
        """Take octets from the peer."""
        events: list[Event] = []
        try:
            self._reader.feed(data)
            while self.state is not State.CLOSED and (answer := self._reader.take()):
                events += self._act(answer)
        except BrokenPeerError as error:
            events += self.give_up(reply(451, Status.PROTOCOL_OTHER, str(error)))
        return events

    def _act(self, answer: Reply) -> list[Event]:
        self.replies += 1
        if answer.code == 421:
            return self.give_up(answer)
        return _ACTS[self.state](self, answer)

    def give_up(self, why: Reply) -> list[Event]:
        """End the session: the peer said 421, was lost, was too slow or speaks no SMTP."""
        during, self.state = self.state, State.CLOSED
        transaction, self._transaction = self._transaction, None
        if transaction:
            transaction.decide_rest(Deferred(why, self.peer, whole_destination=why.code == 421))
            begun = transaction.mail_accepted or during not in (State.RSET, State.MAIL)
            return [Ended(_decided(transaction), nothing_begun=not begun)]
        if during in (State.READY, State.CLOSED):
            return []
        return [Refused(why, during)]

    def connection_lost(self, why: str) -> list[Event]:
        """The connection is gone, or waiting took too long; `why` completes the sentence."""
        text = f"the connection with {self.peer} {why} while we waited for {self.state.value}"
        return self.give_up(reply(451, Status.BAD_CONNECTION, text))

    # --- to be ready --------------------------------------------------------------------------------------------

    def _on_greeting(self, answer: Reply) -> list[Event]:
        if answer.code != 220:
            return self._refused(answer)
        return self._say(State.EHLO, f"EHLO {self._hostname}")

    def _on_ehlo(self, answer: Reply) -> list[Event]:
        if answer.code >= 500:
            return self._say(State.HELO, f"HELO {self._hostname}")
        if answer.code != 250:
            return self._refused(answer)
        self.extensions = read_extensions(answer)
        return self._choose_security()

    def _on_helo(self, answer: Reply) -> list[Event]:
        if answer.code != 250:
            return self._refused(answer)
        self.extensions = NO_EXTENSIONS
        return self._choose_security()

    def _choose_security(self) -> list[Event]:
        if self.is_encrypted or self._tls is TlsPolicy.NEVER:
            return self._log_in()
        if self.extensions.starttls:
            return self._say(State.STARTTLS, "STARTTLS")
        return self._without_tls(reply(451, Status.ENCRYPTION_NEEDED, "the server offers no STARTTLS, which we need"))

    def _on_starttls(self, answer: Reply) -> list[Event]:
        if answer.code != 220:
            return self._without_tls(answer)
        if self._reader.has_leftover:
            # what came in the clear behind the 220 would be taken for what came over TLS
            raise BrokenPeerError("the peer sent more in the clear after its reply to STARTTLS")
        self.state = State.HANDSHAKE
        return [StartTls()]

    def _without_tls(self, why: Reply) -> list[Event]:
        return self.give_up(why) if self._tls is TlsPolicy.REQUIRED else self._log_in()

    def tls_started(self) -> list[Event]:
        """The handshake is done; all that was learnt before it is forgotten (RFC 3207 section 4.2)."""
        self.is_encrypted = True
        return self._say(State.EHLO, f"EHLO {self._hostname}")

    def _log_in(self) -> list[Event]:
        if not self._credentials:
            return self._be_ready()
        if not self.is_encrypted:
            text = "the connection is not encrypted, so the password is not sent"
            return self.give_up(reply(451, Status.ENCRYPTION_NEEDED, text))
        user, password = self._credentials.user.encode(), self._credentials.password.encode()
        if "PLAIN" in self.extensions.auth:
            return self._say(State.AUTH, "AUTH PLAIN " + b64encode(b"\0" + user + b"\0" + password).decode())
        if "LOGIN" in self.extensions.auth:
            self._sasl_answers.extend((b64encode(user), b64encode(password)))
            return self._say(State.AUTH, "AUTH LOGIN")
        return self.give_up(reply(451, Status.AUTH_TOO_WEAK, "the server offers neither AUTH PLAIN nor AUTH LOGIN"))

    def _on_auth(self, answer: Reply) -> list[Event]:
        if answer.code == 334 and self._sasl_answers:
            return self._say(State.AUTH, self._sasl_answers.popleft().decode())
        return self._be_ready() if answer.code == 235 else self._refused(answer)

    def _refused(self, answer: Reply) -> list[Event]:
        if answer.is_positive:
            raise BrokenPeerError(f"{self.state.value} makes no sense: {answer}")
        return self.give_up(answer)

    def _be_ready(self) -> list[Event]:
        self.state = State.READY
        return [Ready()]

    def _say(self, state: State, line: str) -> list[Event]:
        self.state = state
        self._output.append(line.encode() + b"\r\n")
        return []

    # --- a transaction ------------------------------------------------------------------------------------------

    def begin(self, transaction: Transaction) -> None:
        """Start a transaction on a ready session; with PIPELINING its whole envelope and DATA go in one write."""
        self._transaction = transaction
        if self._needs_reset:
            self._unsent.append((State.RSET, 0, b"RSET\r\n"))
            self._needs_reset = False
        self._unsent.append((State.MAIL, 0, transaction.mail))
        self._unsent.extend((State.RCPT, index, line) for index, line in enumerate(transaction.rcpts))
        if not self.extensions.chunking:
            self._unsent.append((State.DATA, 0, b"DATA\r\n"))
        self._send_envelope()

    def _send_envelope(self) -> None:
        """Send all, or the next command only when the peer does not pipeline (RFC 2920 section 3.1)."""
        while self._unsent:
            state, index, line = self._unsent.popleft()
            self._output.append(line)
            self._unanswered.append((state, index))
            if not self.extensions.pipelining:
                break
        self.state = self._unanswered[0][0]

    def _on_envelope(self, answer: Reply) -> list[Event]:
        transaction = self._open_transaction()
        state, index = self._unanswered.popleft()
        if answer.code < 400 and not (answer.code == 354 if state is State.DATA else answer.code < 300):
            raise BrokenPeerError(f"{state.value} makes no sense: {answer}")
        if state is State.DATA:
            return self._on_data(transaction, answer)
        if state is State.MAIL:
            transaction.mail_accepted = answer.is_positive
            if not answer.is_positive:
                transaction.decide_rest(refusal(answer, self.peer))
                self._unsent.clear()
        elif state is State.RCPT:
            transaction.note_recipient(index, answer, self.peer)
        return self._go_on(transaction)

    def _go_on(self, transaction: Transaction) -> list[Event]:
        if self._unsent and self._unsent[0][0] is State.DATA and not transaction.accepted:
            self._unsent.clear()
        if self._unsent and not self._unanswered:
            self._send_envelope()
        if self._unanswered:
            self.state = self._unanswered[0][0]
            return []
        if not transaction.accepted:
            self._needs_reset = True
            return self._end(transaction)
        self._output.append(b"BDAT %d LAST\r\n" % transaction.size_octets)
        self.state = State.CONTENT
        return [SendContent(dotted=False)]

    def _on_data(self, transaction: Transaction, answer: Reply) -> list[Event]:
        if answer.code == 354 and transaction.accepted:
            self.state = State.CONTENT
            return [SendContent(dotted=True)]
        if answer.code == 354:
            # DATA was sent before we knew that nobody is accepted; the only way on is an empty message
            return self._say(State.LONE_DOT, ".")
        transaction.note_content(answer, self.peer, dsn_relayed=False)
        self._needs_reset = True
        return self._end(transaction)

    def content_sent(self) -> None:
        """All of the content, and the dot after DATA, was handed to the transport."""
        if self.state is State.CONTENT:
            self.state = State.FINAL

    def _on_early_reply(self, answer: Reply) -> list[Event]:
        """The peer answered while the content was still on its way: it cannot be finished, nor the session kept."""
        if answer.is_positive:
            raise BrokenPeerError(f"the peer answered before the end of the content: {answer}")
        transaction = self._open_transaction()
        transaction.note_content(answer, self.peer, dsn_relayed=False)
        events = self._end(transaction)
        self.state = State.CLOSED
        return events

    def _on_final(self, answer: Reply) -> list[Event]:
        if 300 <= answer.code < 400:
            raise BrokenPeerError(f"the peer answered the content with {answer}")
        transaction = self._open_transaction()
        transaction.note_content(answer, self.peer, dsn_relayed=self.extensions.dsn)
        self._needs_reset = self.extensions.chunking and not answer.is_positive  # RFC 3030 section 2
        return self._end(transaction)

    def _on_lone_dot(self, _: Reply) -> list[Event]:
        return self._end(self._open_transaction())

    def _end(self, transaction: Transaction) -> list[Event]:
        self._transaction = None
        self.state = State.READY
        return [Ended(_decided(transaction))]

    def quit(self) -> None:
        """Say QUIT; whatever comes back is of no interest."""
        self.state = State.CLOSED
        self._output.append(b"QUIT\r\n")

    def _open_transaction(self) -> Transaction:
        assert self._transaction is not None  # noqa: S101 - the states that lead here exist only within one
        return self._transaction

    def _on_unasked(self, answer: Reply) -> list[Event]:
        raise BrokenPeerError(f"the peer speaks unasked: {answer}")


def _decided(transaction: Transaction) -> tuple[Outcome, ...]:
    return tuple(outcome for outcome in transaction.outcomes if outcome is not None)


_ACTS: dict[State, Callable[[ClientSession, Reply], list[Event]]] = {
    State.GREETING: ClientSession._on_greeting,
    State.EHLO: ClientSession._on_ehlo,
    State.HELO: ClientSession._on_helo,
    State.STARTTLS: ClientSession._on_starttls,
    State.HANDSHAKE: ClientSession._on_unasked,
    State.AUTH: ClientSession._on_auth,
    State.READY: ClientSession._on_unasked,
    State.RSET: ClientSession._on_envelope,
    State.MAIL: ClientSession._on_envelope,
    State.RCPT: ClientSession._on_envelope,
    State.DATA: ClientSession._on_envelope,
    State.CONTENT: ClientSession._on_early_reply,
    State.FINAL: ClientSession._on_final,
    State.LONE_DOT: ClientSession._on_lone_dot,
}
