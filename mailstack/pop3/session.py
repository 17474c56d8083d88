"""One POP3 connection as a state table (RFC 1939, with 2449, 2595, 5034 and 6856).

    octets → receive() → run() → replies in take_output(), and at most one open question → answer() → run() …

Nothing is parsed past an open question, so pipelined commands are answered in order, and what was sent behind STLS
never gets into TLS. A message that lies in the maildrop's window is answered at once; else it is a question.
Neighbours: `command` (the lines), `maildrop`, `authentication` (AUTH), `net/pop3_server` (which moves the octets and
carries the questions).
"""

from collections.abc import Callable

from mailstack.pop3 import replies
from mailstack.pop3.authentication import Authentication, Say
from mailstack.pop3.bounds import BOUNDS, Bounds
from mailstack.pop3.capabilities import capabilities
from mailstack.pop3.command import Command, CommandError, State, parse_command
from mailstack.pop3.maildrop import Maildrop, top_reply
from mailstack.pop3.questions import (
    Answer,
    AtHand,
    Commit,
    Fetch,
    FindVerifier,
    LoggedIn,
    LogIn,
    Offers,
    Question,
    Refused,
    StartTls,
)
from mailstack.wire.lines import LineBuffer, LineTooLong
from mailstack.wire.sasl import MECHANISMS, start_exchange
from mailstack.wire.scram import ScramVerifier

Handler = Callable[["Session", Command], Question | None]


class Session:
    """The state of one connection; pure."""

    def __init__(
        self,
        *,
        offers: Offers,
        make_nonce: Callable[[], str],
        secret: bytes,
        tls_offered: bool,
        tls_on: bool = False,
        bounds: Bounds = BOUNDS,
    ) -> None:
        """Start in the AUTHORIZATION state, with the greeting in the output.

        Args:
            offers: EXPIRE and LOGIN-DELAY as they are told before the account is known.
            make_nonce: a fresh SCRAM nonce, printable and without comma.
            secret: of this host; makes up SCRAM salts of accounts that do not exist.
            tls_offered: whether STLS can be answered with TLS.
            tls_on: whether the connection began with TLS.
            bounds: what the session may cost.
        """
        self.state = State.AUTHORIZATION
        self.maildrop: Maildrop | None = None
        self.username = ""
        self.tls_on = tls_on
        self.utf8_on = False
        self.is_full = False
        """`run` stopped with lines left to act on, since enough output waits."""
        self._tls_offered = tls_offered
        self._offers = offers
        self._make_nonce = make_nonce
        self._secret = secret
        self._bounds = bounds
        self._lines = LineBuffer(bounds.line_octets)
        self._unended_octets = 0
        self._out: list[bytes] = [replies.ok("Mailstack POP3 ready")]
        self._out_octets = 0
        self._question: Question | None = None
        self._name_given: str | None = None
        self._authentication: Authentication | None = None
        self._errors = 0
        self._failed_logins = 0

    # --- octets in and out ------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take octets from the client."""
        self._lines.feed(data)
        self._unended_octets += len(data)

    @property
    def waiting_octets(self) -> int:
        """Octets that have arrived and are not read yet: the adapter stops reading when they pile up."""
        return len(self._lines)

    def take_output(self) -> bytes:
        """All replies since the last call."""
        output = b"".join(self._out)
        self._out.clear()
        self._out_octets = 0
        return output

    def run(self) -> Question | None:
        """Act on the lines that are there, until a question opens, enough output waits or no whole line is left."""
        self.is_full = False
        while self._question is None and self.state is not State.CLOSED:
            if self._out_octets > self._bounds.output_octets:
                self.is_full = True
                break
            try:
                line = self._lines.take_line()
            except LineTooLong:
                self._end_authentication()
                self._error(replies.LINE_TOO_LONG)
                continue
            if line is None:
                self._refuse_endless_line()
                break
            self._unended_octets = 0
            self._question = self._act(line)
        return self._question

    def answer(self, answer: Answer | ScramVerifier | bool | None) -> None:
        """Close the open question. The answer must be of the kind that the question names."""
        question, self._question = self._question, None
        if isinstance(question, Fetch):
            self._answer_fetch(question, answer)
        elif isinstance(question, Commit):
            self._say(replies.BYE if answer is True else replies.NOT_REMOVED)
            self.state = State.CLOSED
        elif isinstance(answer, LoggedIn):
            self._enter(answer)
        elif isinstance(answer, Refused):
            self._login_refused(answer)
        elif isinstance(question, FindVerifier) and self._authentication is not None:
            verifier = answer if isinstance(answer, ScramVerifier) else None
            self._question = self._go_on(self._authentication.give_verifier(verifier))
        else:
            raise TypeError(f"{answer!r} does not answer {question!r}")

    def tls_started(self) -> None:
        """TLS is on: forget all that was learnt or sent before (RFC 2595 section 4)."""
        self._question = None
        self._lines.clear()
        self._unended_octets = 0
        self._name_given = None
        self.utf8_on = False
        self.tls_on = True

    # --- one line -----------------------------------------------------------------------------------------------------

    def _act(self, line: bytes) -> Question | None:
        if self._authentication is not None:
            return self._go_on(self._authentication.take_line(line))
        try:
            command = parse_command(line)
        except CommandError as error:
            self._error(replies.err(str(error)))
            return None
        if self.state not in command.rule.states:
            text = "Log in first" if self.state is State.AUTHORIZATION else "You are logged in already"
            self._error(replies.err(text))
            return None
        errors = self._errors
        question = _HANDLERS[command.rule.verb](self, command)
        if self._errors == errors:
            self._errors = 0
        return question

    def _say(self, reply: bytes) -> None:
        self._out.append(reply)
        self._out_octets += len(reply)

    def _error(self, reply: bytes) -> None:
        self._say(reply)
        self._errors += 1
        if self._errors >= self._bounds.errors:
            self._say_and_close(replies.TOO_MANY_ERRORS)

    def _say_and_close(self, reply: bytes) -> None:
        self._say(reply)
        self.state = State.CLOSED

    def _refuse_endless_line(self) -> None:
        if self._unended_octets > self._bounds.endless_octets:
            self._say_and_close(replies.LINE_TOO_LONG)

    # --- in any state -------------------------------------------------------------------------------------------------

    def _capa(self, _: Command) -> None:
        lines = capabilities(self._offers, tls_on=self.tls_on, tls_offered=self._tls_offered)
        self._say(replies.CAPABILITIES + lines + replies.END)

    def _lang(self, command: Command) -> None:
        wanted = command.text.strip().lower()
        if not wanted:
            self._say(replies.LANGUAGES)
        elif wanted in {"*", "en", "i-default"}:
            tag = "i-default" if wanted == "i-default" else "en"
            self._say(replies.ok(f"{tag} English is spoken here"))
        else:
            self._error(replies.NO_SUCH_LANGUAGE)

    def _quit(self, _: Command) -> Question | None:
        if self.maildrop is None:
            self._say_and_close(replies.BYE)
            return None
        self.state = State.UPDATE
        if self._offers.expire_days == 0:
            self.maildrop.delete_fetched()
        return Commit()

    # --- AUTHORIZATION ------------------------------------------------------------------------------------------------

    def _stls(self, _: Command) -> Question | None:
        if self.tls_on:
            self._error(replies.TLS_ALREADY)
        elif not self._tls_offered:
            self._error(replies.TLS_NOT_HERE)
        else:
            self._say(replies.BEGIN_TLS)
            return StartTls()
        return None

    def _utf8(self, _: Command) -> None:
        self.utf8_on = True  # content goes out as it was kept either way; the client now expects UTF-8 in headers
        self._say(replies.UTF8_ON)

    def _user(self, command: Command) -> None:
        if not self.tls_on:
            self._error(replies.TLS_FIRST)
            return
        self._name_given = command.text
        self._say(replies.NAME_ACCEPTED)

    def _pass(self, command: Command) -> Question | None:
        name, self._name_given = self._name_given, None
        if not self.tls_on:
            self._error(replies.TLS_FIRST)
        elif name is None:
            self._error(replies.USER_FIRST)
        else:
            return LogIn(name, command.text)
        return None

    def _auth(self, command: Command) -> Question | None:
        self._name_given = None
        mechanism, _, initial = command.text.strip(" ").partition(" ")
        if not self.tls_on:
            self._error(replies.TLS_FIRST)
        elif not mechanism:  # not in RFC 5034, but clients older than CAPA ask so
            names = "".join(f"{name}\r\n" for name in MECHANISMS)
            self._say(replies.ok("Mechanisms follow") + names.encode() + replies.END)
        elif (exchange := start_exchange(mechanism, self._make_nonce(), self._secret)) is None:
            self._error(replies.UNKNOWN_MECHANISM)
        else:
            self._authentication = Authentication(exchange)
            self._lines.max_octets = self._bounds.sasl_octets
            return self._go_on(self._authentication.begin(initial.encode()))
        return None

    def _go_on(self, step: "Say | Question") -> Question | None:
        """One step of AUTH: something to say, which may be its end, or a question."""
        if not isinstance(step, Say):
            return step
        if step.is_end:
            self._end_authentication()
            self._error(step.reply)
        else:
            self._say(step.reply)
        return None

    def _end_authentication(self) -> None:
        self._authentication = None
        self._lines.max_octets = self._bounds.line_octets

    def _enter(self, welcome: LoggedIn) -> None:
        self._end_authentication()
        self.state = State.TRANSACTION
        self.username = welcome.username
        self.maildrop = welcome.maildrop
        self._offers = welcome.offers
        count, octets = welcome.maildrop.count, welcome.maildrop.size_octets
        self._say(replies.ok(f"{count} messages ({octets} octets)"))

    def _login_refused(self, refusal: Refused) -> None:
        self._end_authentication()
        self._say(replies.err(refusal.text, refusal.code))
        self._failed_logins += 1
        if self._failed_logins >= self._bounds.failed_logins:
            self._say_and_close(replies.TOO_MANY_ERRORS)

    # --- TRANSACTION --------------------------------------------------------------------------------------------------

    def _number(self, command: Command) -> int | None:
        """The number of a message that is there and not deleted; else the refusal is said."""
        maildrop, number = self._open_maildrop, command.number or 0
        if not maildrop.exists(number):
            self._say(replies.NO_SUCH_MESSAGE)
        elif maildrop.is_deleted(number):
            self._say(replies.ALREADY_DELETED)
        else:
            return number
        return None

    @property
    def _open_maildrop(self) -> Maildrop:
        if self.maildrop is None:
            raise RuntimeError("no maildrop is open outside TRANSACTION")
        return self.maildrop

    def _retr(self, command: Command) -> Question | None:
        if number := self._number(command):
            maildrop = self._open_maildrop
            reply = maildrop.at_hand(number, keep=False)  # most clients fetch once
            if reply is None:
                return Fetch(number, None)
            maildrop.note_fetched(number)
            self._say(reply)
        return None

    def _top(self, command: Command) -> Question | None:
        if number := self._number(command):
            reply = self._open_maildrop.at_hand(number, keep=True)
            if reply is None:
                return Fetch(number, command.lines)
            self._say(top_reply(reply, command.lines or 0))
        return None

    def _answer_fetch(self, question: Fetch, answer: object) -> None:
        maildrop, number = self._open_maildrop, question.number
        if isinstance(answer, AtHand) and number in maildrop.window:
            if question.lines is None:
                self._say(maildrop.window.pop(number))
            else:
                self._say(top_reply(maildrop.window[number], question.lines))
        elif isinstance(answer, Refused):
            self._say(replies.err(answer.text, answer.code))
            return
        if question.lines is None:
            maildrop.note_fetched(number)

    def _stat(self, _: Command) -> None:
        self._say(b"+OK %d %d\r\n" % (self._open_maildrop.count, self._open_maildrop.size_octets))

    def _list(self, command: Command) -> None:
        if command.number is None:
            self._say(self._open_maildrop.listing())
        elif number := self._number(command):
            self._say(b"+OK %d %d\r\n" % (number, self._open_maildrop.size(number)))

    def _uidl(self, command: Command) -> None:
        if command.number is None:
            self._say(self._open_maildrop.unique_id_listing())
        elif number := self._number(command):
            self._say(b"+OK %d %b\r\n" % (number, self._open_maildrop.unique_id(number)))

    def _dele(self, command: Command) -> None:
        if number := self._number(command):
            self._open_maildrop.delete(number)
            self._say(replies.OK)

    def _rset(self, _: Command) -> None:
        self._open_maildrop.reset()
        self._say(replies.RESET)

    def _noop(self, _: Command) -> None:
        self._say(replies.OK)


_HANDLERS: dict[str, Handler] = {
    "CAPA": Session._capa,
    "STLS": Session._stls,
    "USER": Session._user,
    "PASS": Session._pass,
    "AUTH": Session._auth,
    "UTF8": Session._utf8,
    "LANG": Session._lang,
    "QUIT": Session._quit,
    "STAT": Session._stat,
    "LIST": Session._list,
    "UIDL": Session._uidl,
    "RETR": Session._retr,
    "TOP": Session._top,
    "DELE": Session._dele,
    "NOOP": Session._noop,
    "RSET": Session._rset,
}
