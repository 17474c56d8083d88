"""SCRAM-SHA-256: verifier, messages and arithmetic (RFC 5802, RFC 7677; SASLprep by RFC 4013).

A verifier proves a password without holding it. Neighbours: `sasl` runs the exchange; the account store keeps
`str(verifier)`.
"""

import base64
import binascii
import hashlib
import hmac
import re
import stringprep
import unicodedata
from dataclasses import dataclass

DEFAULT_ITERATIONS = 50_000
"""A verifier that leaks is attacked by guessing; the client pays for it at each log-in (30 ms on a telephone)."""
MIN_NONCE = 18
_HASH = "sha256"
_FIRST = re.compile(
    r"(?P<gs2>[ny],(?:a=(?P<authzid>[^,\0]*))?,)(?P<bare>n=(?P<user>[^,\0]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=.*)?)\Z"
)
_FINAL = re.compile(
    r"(?P<without>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,]*)*),p=(?P<proof>[A-Za-z0-9+/=]+)\Z"
)
_STORED = re.compile(r"SCRAM-SHA-256\$(\d{1,8}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)\Z")


class ScramError(ValueError):
    """A message or a stored verifier that is not SCRAM's."""


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What the server keeps of a password (RFC 5802 section 2)."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def parse(cls, text: str) -> "ScramVerifier":
        """Read the form of RFC 5803: `SCRAM-SHA-256$iterations:salt$stored:server`.

        Raises:
            ScramError: it is not of that form.
        """
        found = _STORED.match(text)
        if not found:
            raise ScramError("not a SCRAM-SHA-256 verifier")
        return cls(int(found[1]), _decode(found[2]), _decode(found[3]), _decode(found[4]))

    def __str__(self) -> str:
        salt, stored, server = (
            base64.b64encode(x).decode("ascii") for x in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    def proves(self, auth_message: bytes, proof: bytes) -> bool:
        """Whether the proof comes from one who knows the password; in constant time."""
        signature = hmac.digest(self.stored_key, auth_message, _HASH)
        if len(proof) != len(signature):
            return False
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        return hmac.compare_digest(hashlib.sha256(client_key).digest(), self.stored_key)

    def sign(self, auth_message: bytes) -> bytes:
        """The server's signature, by which the client knows that we know the verifier."""
        return hmac.digest(self.server_key, auth_message, _HASH)


def make_verifier(password: str, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> ScramVerifier:
    """The verifier of a password under a fresh random salt (16 octets). Slow on purpose: off the reactor thread."""
    salted = hashlib.pbkdf2_hmac(_HASH, prepare(password).encode("utf-8", "surrogatepass"), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", _HASH)
    return ScramVerifier(
        iterations, salt, hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", _HASH)
    )


def fake_verifier(username: str, secret: bytes) -> ScramVerifier:
    """What an account that does not exist would have: the same salt at each try, and keys that nothing proves."""
    salt = hmac.digest(secret, username.lower().encode(), _HASH)
    return ScramVerifier(DEFAULT_ITERATIONS, salt[:16], bytes(32), bytes(32))


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """The client's first message."""

    username: str
    nonce: str
    bare: str
    gs2: str


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """The client's last message."""

    proof: bytes
    without_proof: str


def read_first(text: str) -> ClientFirst:
    """Read `n,,n=user,r=nonce`.

    Raises:
        ScramError: malformed, asks for channel binding, or would act as another account.
    """
    found = _FIRST.match(text)
    if not found:
        raise ScramError("not a client-first message without channel binding")
    username = _unescape(found["user"])
    if found["authzid"] and _unescape(found["authzid"]) != username:
        raise ScramError("acting as another account is not supported")
    return ClientFirst(username, found["nonce"], found["bare"], found["gs2"])


def read_final(text: str, first: ClientFirst, nonce: str) -> ClientFinal:
    """Read `c=…,r=nonce,p=proof` and hold it against the first message.

    Raises:
        ScramError: malformed, or binding or nonce are not those of this exchange.
    """
    found = _FINAL.match(text)
    if not found:
        raise ScramError("not a client-final message")
    if _decode(found["binding"]) != first.gs2.encode() or not hmac.compare_digest(found["nonce"], nonce):
        raise ScramError("the messages of the exchange do not belong together")
    return ClientFinal(_decode(found["proof"]), found["without"])


def prepare(text: str) -> str:
    """SASLprep (RFC 4013) as far as it maps; what it prohibits is kept as it is, as clients differ there."""
    if text.isascii():
        return text
    mapped = (" " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c))
    return unicodedata.normalize("NFKC", "".join(mapped))


def _unescape(name: str) -> str:
    if re.search("=(?!2C|3D)", name):
        raise ScramError("a username with a bad escape")
    return prepare(name.replace("=2C", ",").replace("=3D", "="))


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ScramError("not base64") from None
