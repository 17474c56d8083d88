"""Passwords: argon2id hashes and SCRAM verifiers, made and checked off the reactor's thread.

A wrong password, an unknown account and an account without a password take the same time: one argon2. App passwords
add nothing to it: they are random and long, so a salted SHA-512 keeps them as safely. A hash that another host made
adds its own work, until the first log-in. A password that was right is
remembered for minutes under a key of this process, so that a client that polls each minute costs no argon2; it is
forgotten the moment the credential changes. Passwords are prepared by SASLprep (RFC 4013), as SCRAM wants it, so that
every mechanism takes the same ones. Neighbours: `login` asks here; `management/` stores what `hash_password` and
`hash_app_password` give; `wire/scram` makes verifiers.
"""

import hmac
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from passlib.context import CryptContext
from passlib.hash import argon2, ldap_salted_sha512
from sqlalchemy import Connection, Row, select, update
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from mailstack.store.database import Database, StoreTrouble
from mailstack.store.imported_hashes import BCRYPT_OCTETS, KINDS
from mailstack.store.schema import credential
from mailstack.wire.scram import ScramError, ScramVerifier, make_verifier, prepare

ARGON2_MEMORY_KIB = 19 * 1024
ARGON2_PASSES = 2
ARGON2_LANES = 1
"""OWASP's first choice of argon2id: 20 ms and 19 MiB a check."""
MAX_PASSWORD_OCTETS = 1024
THREADS = 2
REMEMBER_SECONDS = 600
REMEMBER_AT_MOST = 10_000
SALT_OCTETS = 16

argon2.set_backend()  # now: two threads that are the first to hash would race for it
_context = CryptContext(
    schemes=["argon2", *KINDS],
    deprecated="auto",
    argon2__type="ID",
    argon2__memory_cost=ARGON2_MEMORY_KIB,
    argon2__time_cost=ARGON2_PASSES,
    argon2__parallelism=ARGON2_LANES,
)
_app_passwords = ldap_salted_sha512.using(salt_size=SALT_OCTETS)
_log = Logger()
T = TypeVar("T")


class PasswordError(ValueError):
    """A text that cannot be a password; the message says why."""


@dataclass(frozen=True, slots=True)
class PasswordHashes:
    """What is kept of a password: columns `hash` and `scram` of `credential`."""

    hash: str
    scram: str | None
    """None for a hash made elsewhere: the first log-in gives the password to make it of."""


def check_password(password: str) -> None:
    """Whether a text can be a password.

    Raises:
        PasswordError: empty, too long, or with control characters.
    """
    if not password:
        raise PasswordError("the password is empty")
    if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_OCTETS:
        raise PasswordError(f"the password is longer than {MAX_PASSWORD_OCTETS} octets")
    if any(ord(character) < 32 or ord(character) == 127 for character in password):
        raise PasswordError("the password has control characters, which many clients cannot send")


def hash_password(password: str) -> PasswordHashes:
    """Hash a new password. Takes some 50 ms: never in the reactor's thread. Raises as `check_password`."""
    check_password(password)
    prepared = prepare(password)
    return PasswordHashes(_context.hash(prepared), str(make_verifier(password, os.urandom(SALT_OCTETS))))


def hash_app_password(password: str) -> str:
    """The hash of a password that we made ourselves, with 100 bits of chance or more; microseconds."""
    return str(_app_passwords.hash(prepare(password)))


def verify_hash(password: str, stored_hash: str) -> bool:
    """Whether a password has that hash. Takes 20 ms: never in the reactor's thread."""
    if len(password) > MAX_PASSWORD_OCTETS:
        password = ""  # no hash is of the empty password; the time is the same
    prepared: str | bytes = prepare(password)
    if _context.identify(stored_hash) == "bcrypt":
        prepared = prepare(password).encode()[:BCRYPT_OCTETS]
    try:
        return bool(_context.verify(prepared, stored_hash))
    except ValueError as error:
        _log.error("a stored password hash cannot be read: {why}", why=str(error))
        return False


class Passwords:
    """Verifies the passwords of accounts: the password itself and app passwords.

    Args:
        database: where credentials are kept.
        clock: for how long a right password is remembered.
    """

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self._clock = clock
        self._secret = os.urandom(32)
        self._remembered: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._nobody = _context.hash(self._secret.hex())
        self._pool: ThreadPool | None = None

    async def verify(self, account_id: int | None, password: str) -> bool:
        """Whether the password is one of the account's; None, the account that does not exist, takes the same time.

        Raises:
            StoreTrouble: the credentials cannot be read now.
        """
        kept = await self._database.read(lambda connection: _credentials(connection, account_id))
        key = self._key(account_id, password)
        if self._remembers(key, [row.hash for row in kept]):
            return True
        right = await self._in_thread(lambda: _find_right(password, kept, self._nobody))
        if right is None:
            return False
        self._remember(key, right.hash)
        if right.kind == "password" and (right.scram is None or _context.needs_update(right.hash)):
            await self._renew(right, password)
        return True

    async def _renew(self, right: Row[Any], password: str) -> None:
        """Hash a password anew that came with a hash made elsewhere, now that it is known: SCRAM works from here on."""
        try:
            made = await self.hash(password)
            renewed = update(credential).where(credential.c.id == right.id, credential.c.hash == right.hash)
            await self._database.write(
                lambda connection: connection.execute(renewed.values(hash=made.hash, scram=made.scram)).close()
            )
        except (PasswordError, StoreTrouble) as error:  # the old one goes on to work
            _log.warn("an imported password hash could not be made anew: {why}", why=str(error))

    async def verifier(self, account_id: int | None) -> ScramVerifier | None:
        """The SCRAM verifier of the account's password, when it has one.

        Raises:
            StoreTrouble: the credentials cannot be read now.
        """
        text = await self._database.read(lambda connection: _scram(connection, account_id))
        if text is None:
            return None
        try:
            return ScramVerifier.parse(text)
        except ScramError as error:
            _log.error("a stored SCRAM verifier cannot be read: {why}", why=str(error))
            return None

    async def hash(self, password: str) -> PasswordHashes:
        """`hash_password` in a thread. Raises as it does."""
        return await self._in_thread(lambda: hash_password(password))

    def stop(self) -> None:
        """End the threads; checks under way are finished first."""
        if self._pool is not None:
            self._pool.stop()
            self._pool = None

    def _key(self, account_id: int | None, password: str) -> bytes:
        return hmac.digest(self._secret, f"{account_id}:{password}".encode("utf-8", "surrogatepass"), "sha256")

    def _remembers(self, key: bytes, hashes: Sequence[str]) -> bool:
        remembered = self._remembered.get(key)
        if remembered is None:
            return False
        right, until = remembered
        if right in hashes and self._clock.seconds() < until:
            return True
        del self._remembered[key]
        return False

    def _remember(self, key: bytes, right: str) -> None:
        self._remembered[key] = (right, self._clock.seconds() + REMEMBER_SECONDS)
        self._remembered.move_to_end(key)
        if len(self._remembered) > REMEMBER_AT_MOST:
            self._remembered.popitem(last=False)

    def _in_thread(self, work: Callable[[], T]) -> "Deferred[T]":
        from twisted.internet import reactor

        if self._pool is None:
            self._pool = ThreadPool(0, THREADS, name="passwords")
            self._pool.start()
        deferred: Deferred[T] = deferToThreadPool(reactor, self._pool, work)  # type: ignore[arg-type]
        return deferred


def _find_right(password: str, kept: Sequence[Row[Any]], nobody: str) -> Row[Any] | None:
    """The credential that the password is of. A wrong one costs one argon2, however many app passwords there are."""
    ours = [row for row in kept if argon2.identify(row.hash)]
    for row in [*(row for row in kept if row not in ours), *ours]:
        if verify_hash(password, row.hash):
            return row
    if not ours:
        verify_hash(password, nobody)
    return None


def _credentials(connection: Connection, account_id: int | None) -> Sequence[Row[Any]]:
    # None is asked for too: no row has it, and the trip takes its time.
    rows = select(credential).where(credential.c.account_id == (account_id or 0)).order_by(credential.c.id)
    return connection.execute(rows).all()


def _scram(connection: Connection, account_id: int | None) -> str | None:
    is_theirs = (credential.c.account_id == (account_id or 0)) & (credential.c.kind == "password")
    return connection.scalar(select(credential.c.scram).where(is_theirs))
