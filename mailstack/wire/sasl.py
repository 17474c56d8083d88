"""The server's side of SASL: PLAIN (RFC 4616), LOGIN, and SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding.

An exchange is fed what the client says and answers with the next step: a challenge, a question to the account store, or
an end. It is pure: the nonce and the secret are arguments. Neighbours: `smtp/authentication` and `pop3/session` carry
its octets as base64; `scram` holds the verifier and the arithmetic.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Protocol

from mailstack.wire.scram import (
    MIN_NONCE,
    ClientFirst,
    ScramError,
    ScramVerifier,
    fake_verifier,
    make_verifier,
    read_final,
    read_first,
)

__all__ = [
    "MECHANISMS",
    "Challenge",
    "CheckPassword",
    "Disproven",
    "LookUpVerifier",
    "Malformed",
    "Proven",
    "SaslExchange",
    "SaslStep",
    "ScramError",
    "ScramVerifier",
    "decode_base64",
    "encode_base64",
    "make_verifier",
    "start_exchange",
]

MECHANISMS = ("PLAIN", "LOGIN", "SCRAM-SHA-256")


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send these octets and step with the answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """The exchange is over: the answer is whether this password is right."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class LookUpVerifier:
    """Give the account's verifier, or None, to `answer_verifier`."""

    username: str


@dataclass(frozen=True, slots=True)
class Proven:
    """The client knows the password. `final` is sent as a last challenge, which the client answers with nothing."""

    username: str
    final: bytes


@dataclass(frozen=True, slots=True)
class Disproven:
    """The exchange is over: the proof is wrong, or there is no such account."""

    username: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """The exchange is over: the client broke its rules."""

    why: str


SaslStep = Challenge | CheckPassword | LookUpVerifier | Proven | Disproven | Malformed


class SaslExchange(Protocol):
    """One authentication in progress."""

    def step(self, client: bytes | None) -> SaslStep:
        """Take what the client said; None = it gave no initial response."""

    def answer_verifier(self, verifier: ScramVerifier | None) -> SaslStep:
        """Take the answer to `LookUpVerifier`; None = no such account, which shows only at the end."""


def start_exchange(mechanism: str, nonce: str, secret: bytes = b"") -> SaslExchange | None:
    """A new exchange; None when the mechanism is not known.

    Args:
        mechanism: its name, in any case.
        nonce: at least 18 random printable characters without a comma, fresh each time.
        secret: of this host; makes up the salt of accounts that do not exist, the same at each try.
    """
    match mechanism.upper():
        case "PLAIN":
            return PlainExchange()
        case "LOGIN":
            return LoginExchange()
        case "SCRAM-SHA-256":
            return ScramExchange(nonce, secret)
    return None


class PlainExchange:
    """PLAIN: `authzid NUL username NUL password` in one message."""

    def step(self, client: bytes | None) -> SaslStep:
        """The one message, or an empty challenge for it."""
        if client is None:
            return Challenge(b"")
        parts = (_text(client) or "").split("\0")
        if len(parts) != 3 or not parts[1] or not parts[2]:
            return Malformed("not a PLAIN message")
        authzid, username, password = parts
        if authzid.lower() not in {"", username.lower()}:
            return Disproven(username)  # nobody may act for another account (RFC 4616 section 2, RFC 4954: 535)
        return CheckPassword(username, password)

    def answer_verifier(self, verifier: ScramVerifier | None) -> SaslStep:
        """PLAIN never asks for one."""
        raise AssertionError(verifier)


class LoginExchange:
    """LOGIN: never standardised, still what some clients speak; the username may come as initial response."""

    def __init__(self) -> None:
        self._username: str | None = None
        self._asked = False

    def step(self, client: bytes | None) -> SaslStep:
        """Username, then password."""
        if client is None:
            return Challenge(b"Username:")
        text = _text(client)
        if not text or "\0" in text:
            return Malformed("an empty or unreadable username or password")
        if self._username is None:
            self._username = text
            return Challenge(b"Password:")
        return CheckPassword(self._username, text)

    def answer_verifier(self, verifier: ScramVerifier | None) -> SaslStep:
        """LOGIN never asks for one."""
        raise AssertionError(verifier)


class ScramExchange:
    """SCRAM-SHA-256 (RFC 5802 section 5)."""

    def __init__(self, nonce: str, secret: bytes) -> None:
        if len(nonce) < MIN_NONCE or "," in nonce:
            raise ValueError("the nonce is too short or holds a comma")
        self._nonce = nonce
        self._secret = secret
        self._first: ClientFirst | None = None
        self._server_first = ""
        self._verifier: ScramVerifier | None = None
        self._is_known = False

    def step(self, client: bytes | None) -> SaslStep:
        """The client-first, then the client-final message."""
        if client is None:
            return Challenge(b"")
        try:
            text = client.decode("utf-8")
            if self._first is None:
                self._first = read_first(text)
                return LookUpVerifier(self._first.username)
            return self._finish(self._first, text)
        except (ScramError, UnicodeDecodeError) as error:
            return Malformed(str(error))

    def answer_verifier(self, verifier: ScramVerifier | None) -> SaslStep:
        """The server-first message: alike for accounts that exist and those that don't."""
        assert self._first is not None  # noqa: S101 - the exchange asked
        self._is_known = verifier is not None
        self._verifier = verifier or fake_verifier(self._first.username, self._secret)
        salt = base64.b64encode(self._verifier.salt).decode("ascii")
        self._server_first = f"r={self._first.nonce}{self._nonce},s={salt},i={self._verifier.iterations}"
        return Challenge(self._server_first.encode("ascii"))

    def _finish(self, first: ClientFirst, text: str) -> SaslStep:
        verifier = self._verifier
        if verifier is None:
            return Malformed("out of step")
        final = read_final(text, first, first.nonce + self._nonce)
        auth_message = f"{first.bare},{self._server_first},{final.without_proof}".encode()
        is_right = verifier.proves(auth_message, final.proof)
        if not (is_right and self._is_known):
            return Disproven(first.username)
        return Proven(first.username, b"v=" + base64.b64encode(verifier.sign(auth_message)))


def _text(octets: bytes) -> str | None:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return None


def decode_base64(text: bytes) -> bytes | None:
    """The octets of a line of the client; None when it is not strict base64. A lone `=` is the empty message."""
    if text == b"=":
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def encode_base64(octets: bytes) -> bytes:
    """The octets of a challenge as they stand in a line."""
    return base64.b64encode(octets)
