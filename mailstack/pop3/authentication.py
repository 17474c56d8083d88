"""AUTH: one SASL exchange in POP3's dress (RFC 5034), base64 and continuation lines.

Neighbours: `wire/sasl` runs the mechanism, `session` says the replies and carries the questions.
"""

from dataclasses import dataclass

from mailstack.pop3 import replies
from mailstack.pop3.questions import FindVerifier, LogIn, OpenProven, RefuseUnproven
from mailstack.wire.sasl import (
    Challenge,
    CheckPassword,
    Disproven,
    LookUpVerifier,
    Malformed,
    Proven,
    SaslExchange,
    SaslStep,
    decode_base64,
    encode_base64,
)
from mailstack.wire.scram import ScramVerifier

AuthQuestion = LogIn | FindVerifier | OpenProven | RefuseUnproven


@dataclass(frozen=True, slots=True)
class Say:
    """A line to send; `is_end` when AUTH ends with it, without a log-in."""

    reply: bytes
    is_end: bool = False


class Authentication:
    """One AUTH command, from its keyword to a question about a log-in or to its end."""

    def __init__(self, exchange: SaslExchange) -> None:
        self._exchange = exchange
        self._proven = ""

    def begin(self, initial: bytes) -> Say | AuthQuestion:
        """Start with the initial response; empty = none was given, `=` = an empty one (RFC 5034 section 4)."""
        return self._feed(initial) if initial else self._do(self._exchange.step(None))

    def take_line(self, line: bytes) -> Say | AuthQuestion:
        """Take the client's next line."""
        if line == b"*":
            return Say(replies.CANCELLED, is_end=True)
        if self._proven:  # the answer to the server's own proof carries nothing
            return OpenProven(self._proven)
        return self._feed(line)

    def give_verifier(self, verifier: ScramVerifier | None) -> Say | AuthQuestion:
        """The answer to `FindVerifier`."""
        return self._do(self._exchange.answer_verifier(verifier))

    def _feed(self, encoded: bytes) -> Say | AuthQuestion:
        client = decode_base64(encoded)
        if client is None:
            return Say(replies.NOT_BASE64, is_end=True)
        return self._do(self._exchange.step(client))

    def _do(self, step: SaslStep) -> Say | AuthQuestion:
        match step:
            case Challenge(data=data):
                return Say(b"+ " + encode_base64(data) + b"\r\n")
            case CheckPassword(username=username, password=password):
                return LogIn(username, password)
            case LookUpVerifier(username=username):
                return FindVerifier(username)
            case Proven(username=username, final=final):
                self._proven = username
                return Say(b"+ " + encode_base64(final) + b"\r\n")
            case Disproven(username=username):
                return RefuseUnproven(username)
            case Malformed(why=why):
                return Say(replies.err(f"AUTH failed: {why}"), is_end=True)
