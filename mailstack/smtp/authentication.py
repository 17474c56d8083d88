"""AUTH as a conversation of base64 lines around a SASL exchange (RFC 4954 section 4).

Neighbours: `wire/sasl` knows the mechanisms; `session` reads the lines and asks the questions.
"""

from mailstack.mail.reply import Reply
from mailstack.smtp import replies
from mailstack.smtp.events import AskPassword, AskVerifier, ScramProven, ScramRefused
from mailstack.wire.sasl import (
    Challenge,
    CheckPassword,
    Disproven,
    LookUpVerifier,
    Proven,
    SaslExchange,
    SaslStep,
    ScramVerifier,
    decode_base64,
    encode_base64,
    start_exchange,
)

Move = Reply | AskPassword | AskVerifier | ScramProven | ScramRefused
"""What comes next: a 334 goes on, another reply ends the conversation, a question must be answered."""


class Authentication:
    """One AUTH command and what follows it."""

    __slots__ = ("_exchange", "_proven")

    def __init__(self, exchange: SaslExchange) -> None:
        self._exchange = exchange
        self._proven: str | None = None

    def hear(self, line: bytes | None) -> Move:
        """Take a line of the client (or its initial response; None = there is none)."""
        if line == b"*":
            return replies.AUTH_CANCELLED
        message = None if line is None else decode_base64(line)
        if line is not None and message is None:
            return replies.AUTH_NOT_BASE64
        if self._proven is not None:  # RFC 5802 in a profile without data on success: the client's answer is empty
            return replies.AUTH_MALFORMED if message else ScramProven(self._proven)
        return self._move(self._exchange.step(message))

    def answer_verifier(self, verifier: ScramVerifier | None) -> Move:
        """Take the answer to AskVerifier."""
        return self._move(self._exchange.answer_verifier(verifier))

    def _move(self, step: SaslStep) -> Move:
        match step:
            case Challenge(data):
                return _challenge(data)
            case CheckPassword(username, password):
                return AskPassword(username, password)
            case LookUpVerifier(username):
                return AskVerifier(username)
            case Proven(username, final):
                self._proven = username
                return _challenge(final)
            case Disproven(username):
                return ScramRefused(username)
            case _:
                return replies.AUTH_MALFORMED


def begin(argument: str, nonce: str, secret: bytes) -> tuple[Authentication, Move] | Reply:
    """The conversation that `AUTH mechanism [initial-response]` opens, or its refusal."""
    mechanism, _, initial = argument.partition(" ")
    exchange = start_exchange(mechanism, nonce, secret)
    if exchange is None:
        return replies.AUTH_UNKNOWN_MECHANISM
    authentication = Authentication(exchange)
    response = initial.strip()
    return authentication, authentication.hear(response.encode("utf-8") if response else None)


def _challenge(data: bytes) -> Reply:
    return Reply(334, None, encode_base64(data).decode("ascii"))
