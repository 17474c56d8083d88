"""Password hashes that other hosts made: which kinds are taken over, and up to which cost of a log-in.

As Dovecot, Postfix and their panels keep them, with a scheme in braces in front or not. The first log-in with the right
password replaces one by our own kind (`passwords`). Neighbours: `management/account_import` reads them from lists.
"""

import re
from typing import Any

from passlib.context import CryptContext

KINDS = ("bcrypt", "sha512_crypt", "sha256_crypt", "ldap_salted_sha512", "ldap_salted_sha256", "ldap_salted_sha1")
"""Beside argon2: passlib's names."""
MAX_MEMORY_KIB = 128 * 1024
MAX_ROUNDS = {"argon2": 8, "bcrypt": 13, "sha512_crypt": 100_000, "sha256_crypt": 100_000}
"""A third of a second and less: a wrong guess costs as much as a right password."""
BCRYPT_OCTETS = 72
"""bcrypt never saw more of a password."""
_SCHEME = re.compile(r"\{(?!SSHA)[A-Za-z0-9.-]+\}")
_context = CryptContext(schemes=["argon2", *KINDS])


class HashError(ValueError):
    """A text that is no hash we take over; the message says why."""


def read_hash(text: str) -> str:
    """A hash as it is kept, from how another host wrote it.

    Raises:
        HashError: of no kind that we take, or dearer than a log-in may be.
    """
    kept = _SCHEME.sub("", text.strip(), count=1)
    kind = _context.identify(kept)
    if kind is None:
        raise HashError("the hash is of no kind that we take (argon2, bcrypt, SHA-512- and SHA-256-crypt, SSHA)")
    try:
        parsed: Any = _context.handler(kind).from_string(kept)
    except (ValueError, TypeError) as error:
        raise HashError(f"the hash cannot be read ({error})") from None
    if parsed.checksum is None:
        raise HashError("the hash cannot be read (it is cut off)")
    is_dear = kind in MAX_ROUNDS and parsed.rounds > MAX_ROUNDS[kind]
    if is_dear or (kind == "argon2" and parsed.memory_cost > MAX_MEMORY_KIB):
        raise HashError("the hash costs more work than a log-in may")
    return kept
