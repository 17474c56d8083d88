"""The server's side of an SMTP session as a pure state machine (RFC 5321, 2034, 2920, 3030, 3207, 4954, 6409).

Octets go in by `receive`; `next_event` gives questions and notices, `take_output` the replies. One question is open at
a time and nothing is parsed past it, so pipelining (RFC 2920) needs no care. `verbs` holds the commands and the states
in which each is legal; what lasts for one message is a `Transaction`. Neighbours: `events`, `net/smtp_server`.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from mailstack.mail.reply import Reply
from mailstack.smtp import replies
from mailstack.smtp.authentication import Authentication, Move
from mailstack.smtp.command import MAX_AUTH_OCTETS, Chunk, parse_command
from mailstack.smtp.events import (
    AskPassword,
    AskVerifier,
    Close,
    Connected,
    ContentEnds,
    Event,
    MailFrom,
    Question,
    RcptTo,
    Refused,
    ScramProven,
    ScramRefused,
    SlowDown,
)
from mailstack.smtp.profile import Profile
from mailstack.smtp.questions import LoginDecision, Service, SessionFacts
from mailstack.smtp.state import State
from mailstack.smtp.transaction import Transaction
from mailstack.smtp.verbs import run_command
from mailstack.wire.dots import ChunkReader, ContentReader
from mailstack.wire.lines import LineBuffer, LineTooLong
from mailstack.wire.scram import ScramVerifier

Answer = Reply | LoginDecision | ScramVerifier | None


class Session:
    """One connection of a client."""

    def __init__(self, facts: SessionFacts, profile: Profile, make_nonce: Callable[[], str]) -> None:
        """`make_nonce` gives 18 or more random printable characters without a comma, fresh at each call (SCRAM)."""
        self.facts = facts
        self.profile = profile
        self.make_nonce = make_nonce
        self.state = State.CONNECTED
        self.transaction: Transaction | None = None
        self.authentication: Authentication | None = None
        self.chunk = Chunk(0, is_last=False)
        self.chunk_left = 0
        self.chunk_refusal: Reply | None = None
        self.messages = 0
        self._input = LineBuffer(MAX_AUTH_OCTETS)
        self._output: list[bytes] = []
        self._events: deque[Event] = deque()
        self._question: Question | None = None
        self._errors = 0
        self._idle_commands = 0
        self._is_stopping = False
        self.ask(Connected())

    # --- for whoever drives the session ---

    def receive(self, data: bytes) -> None:
        """Take octets of the client."""
        if self.state is not State.CLOSED and self.state is not State.TLS:
            self._input.feed(data)

    def next_event(self) -> Event | None:
        """The next thing to act on; None while a question is open, or until more octets come."""
        while True:
            if self._events:
                return self._events.popleft()
            if self._question is not None or not _STEPS[self.state](self):
                return None

    def answer(self, answer: Answer) -> None:
        """Answer the open question."""
        question, self._question = self._question, None
        if question is not None:  # else the session has ended meanwhile
            _ANSWERED[type(question)](self, question, answer)

    def take_output(self) -> bytes:
        """The replies that are due."""
        if not self._output:
            return b""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def tls_started(self, description: str) -> None:
        """The handshake after StartTls is done. Nothing that was said before it counts (RFC 3207 section 4.2)."""
        self._input.clear()
        self.transaction = None
        facts = self.facts
        facts.tls, facts.helo, facts.esmtp, facts.login = description, "", False, None
        self.state = State.NEW

    def stop(self) -> None:
        """End the session with 421 as soon as no transaction is open."""
        self._is_stopping = True

    def end(self, reply: Reply) -> None:
        """Say this and close, whatever goes on; an answer that is still due is ignored."""
        if self.state is not State.CLOSED:
            self.say(reply)
            self.state = State.CLOSED
            self._events.append(Close())
            self._question = None
            self._input.clear()

    @property
    def buffered_octets(self) -> int:
        """What has come and was not read yet."""
        return len(self._input)

    @property
    def is_reading_content(self) -> bool:
        """Content comes, not commands: other time-outs hold (RFC 5321 section 4.5.3.2)."""
        return self.state in (State.DATA, State.CHUNK)

    # --- for the verbs ---

    def ask(self, question: Question) -> None:
        """Open a question."""
        self._question = question
        self._events.append(question)

    def notify(self, notice: Event | None) -> None:
        """Give a notice, if there is one."""
        if notice is not None:
            self._events.append(notice)

    def say(self, reply: Reply) -> None:
        """Send a reply."""
        self._output.append(reply.octets)

    def say_idle(self, reply: Reply) -> None:
        """Answer a command that brings no message nearer; too many of them are errors."""
        self._idle_commands += 1
        if self._idle_commands > self.profile.max_idle_commands:
            self.refuse(reply)
        else:
            self.say(reply)

    def refuse(self, reply: Reply) -> None:
        """Refuse by the protocol's own rules; it is told to the host."""
        self._events.append(Refused(reply, self.transaction.envelope if self.transaction else None))
        self._answer_error(reply)

    def _answer_error(self, reply: Reply) -> None:
        """The more errors, the slower the answers; then no more."""
        self._errors += 1
        if self._errors >= self.profile.hard_errors:
            self.end(replies.TOO_MANY_ERRORS)
            return
        self.say(reply)
        if self._errors >= self.profile.soft_errors:
            self._events.append(SlowDown(self._errors - self.profile.soft_errors + 1.0))

    def pass_on(self, reply: Reply) -> None:
        """Send a decision's reply: a 421 ends the session, 5yz counts as an error, 4yz may be our own doing."""
        if reply.code == 421:
            self.end(reply)
        elif reply.code >= 500:
            self._answer_error(reply)
        elif reply.code >= 400:
            self.say_idle(reply)
        else:
            self.say(reply)

    def drop_transaction(self) -> None:
        """Forget the envelope and what came of its content."""
        if self.transaction is not None:
            self.notify(self.transaction.abandon())
            self.transaction = None

    def authenticate(self, move: Move) -> None:
        """Go on with AUTH, or end it."""
        if not isinstance(move, Reply):
            self.ask(move)
        elif move.code == 334:
            self.say(move)
            self.state = State.AUTH
        else:
            self.state = State.READY
            self.refuse(move)

    # --- steps: each reads on in one state, False = more octets are needed ---

    def _read_nothing(self) -> bool:
        return False

    def _read_command(self) -> bool:
        if self._is_stopping and self.transaction is None:
            self.end(replies.SHUTTING_DOWN)
            return True
        try:
            line = self._input.take_line()
        except LineTooLong:
            self.refuse(replies.LINE_TOO_LONG)
            return True
        if line is None:
            return False
        command = parse_command(line)
        if isinstance(command, Reply):
            self.refuse(command)
        else:
            run_command(self, command)
        return True

    def _read_auth_line(self) -> bool:
        if self._is_stopping:  # no transaction is open while somebody logs in
            self.end(replies.SHUTTING_DOWN)
            return True
        try:
            line = self._input.take_line()
        except LineTooLong:
            self.authenticate(replies.AUTH_LINE_TOO_LONG)
            return True
        if line is None:
            return False
        assert self.authentication is not None  # noqa: S101 - set with the state
        self.authenticate(self.authentication.hear(line))
        return True

    def _read_data(self) -> bool:
        data = self._input.take_all()
        transaction = self.transaction
        if not data or transaction is None:
            return False
        reader = transaction.reader
        assert isinstance(reader, ContentReader)  # noqa: S101 - set with the state
        content = reader.feed(data)
        if reader.rest is not None:
            self._input.feed(reader.rest)
            self.state = State.ENDING
        self.notify(transaction.take(content))
        return True

    def _read_chunk(self) -> bool:
        if self.chunk_left:
            data = self._input.take(self.chunk_left)
            if not data:
                return False
            self.chunk_left -= len(data)
            transaction = self.transaction
            if self.chunk_refusal is None and transaction is not None and transaction.reader is not None:
                self.notify(transaction.take(transaction.reader.feed(data)))
        else:
            self._end_chunk()
        return True

    def _end_chunk(self) -> None:
        transaction = self.transaction
        if transaction is None:  # BDAT without MAIL: its octets are gone, as RFC 3030 section 2 has it
            self.state = State.READY if self.facts.helo else State.NEW
            self.refuse(self.chunk_refusal or replies.SAY_MAIL_FIRST)
        elif transaction.reader is None:
            self.state = State.MAIL
            self.refuse(self.chunk_refusal or replies.SAY_RCPT_FIRST)
        elif self.chunk_refusal or transaction.refusal:
            self.state = State.READY
            self.refuse(self.chunk_refusal or transaction.refusal or replies.LOCAL_ERROR)
            self.transaction = None
        elif self.chunk.is_last:
            assert isinstance(transaction.reader, ChunkReader)  # noqa: S101 - set with the state
            self.state = State.ENDING  # where its last line's CRLF may still prove too much
            self.notify(transaction.take(transaction.reader.finish()))
        else:
            self.state = State.CHUNKS
            self.say(replies.chunk_received(self.chunk.octets))

    def _end_content(self) -> bool:
        transaction = self.transaction
        refusal = transaction.refusal if transaction is not None else None
        if refusal is None:
            self.ask(ContentEnds())
        else:
            self.state = State.READY
            self.refuse(refusal)
            self.transaction = None
        return True

    # --- answers ---

    def _connected_answered(self, _: Connected, answer: Reply | None) -> None:
        if answer is not None:
            self.end(answer)
        elif self.profile.service is Service.MX and self.buffered_octets:
            self.end(replies.TALKS_TOO_EARLY)
        else:
            self.state = State.NEW
            self.say(self.profile.greeting)

    def _login_answered(self, _: Question, decision: LoginDecision) -> None:
        self.state = State.READY
        self.authentication = None
        self.facts.login = decision.login
        self.pass_on(decision.reply)

    def _verifier_answered(self, _: Question, verifier: ScramVerifier | Reply | None) -> None:
        if isinstance(verifier, Reply):
            self.authenticate(verifier)
            return
        assert self.authentication is not None  # noqa: S101 - set before the question
        self.authenticate(self.authentication.answer_verifier(verifier))

    def _mail_answered(self, question: MailFrom, reply: Reply) -> None:
        if reply.code < 400:
            self.transaction = Transaction(question.envelope, self.profile.max_message_size)
            self.state = State.MAIL
        self.pass_on(reply)

    def _rcpt_answered(self, question: RcptTo, reply: Reply) -> None:
        if reply.code < 400:
            question.envelope.recipients.append(question.recipient)
        elif self.transaction is not None:
            self.transaction.refused_recipients += 1
        self.pass_on(reply)

    def _content_answered(self, _: ContentEnds, reply: Reply) -> None:
        self.transaction = None
        self.state = State.READY
        if reply.code < 400:
            self.messages += 1
            self._errors = self._idle_commands = 0
        self.pass_on(reply)


_STEPS: dict[State, Callable[[Session], bool]] = {
    State.CONNECTED: Session._read_nothing,
    State.NEW: Session._read_command,
    State.READY: Session._read_command,
    State.MAIL: Session._read_command,
    State.CHUNKS: Session._read_command,
    State.AUTH: Session._read_auth_line,
    State.DATA: Session._read_data,
    State.CHUNK: Session._read_chunk,
    State.ENDING: Session._end_content,
    State.TLS: Session._read_nothing,
    State.CLOSED: Session._read_nothing,
}
_ANSWERED: dict[type[Question], Callable[[Session, Any, Any], None]] = {
    Connected: Session._connected_answered,
    AskPassword: Session._login_answered,
    AskVerifier: Session._verifier_answered,
    ScramProven: Session._login_answered,
    ScramRefused: Session._login_answered,
    MailFrom: Session._mail_answered,
    RcptTo: Session._rcpt_answered,
    ContentEnds: Session._content_answered,
}
