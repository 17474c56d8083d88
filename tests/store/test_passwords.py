"""Passwords: right, wrong, unknown, remembered and forgotten."""

from collections.abc import Iterator

import pytest
import pytest_twisted
from passlib.hash import argon2, bcrypt, ldap_salted_sha1, sha512_crypt
from sqlalchemy import delete, update
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from mailstack.store import passwords as module
from mailstack.store.database import Database
from mailstack.store.imported_hashes import HashError, read_hash
from mailstack.store.passwords import (
    PasswordError,
    Passwords,
    hash_app_password,
    hash_password,
    verify_hash,
)
from mailstack.store.schema import credential
from mailstack.wire.scram import ScramVerifier, make_verifier
from tests.store.rows import add_account, add_credential, add_domain


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that were checked the slow way."""
    seen: list[str] = []
    slow = module.verify_hash

    def noted(password: str, stored: str) -> bool:
        seen.append(stored)
        return slow(password, stored)

    monkeypatch.setattr(module, "verify_hash", noted)
    return seen


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passwords(each_database: Database, clock: Clock) -> Iterator[Passwords]:
    passwords = Passwords(each_database, clock)
    yield passwords
    passwords.stop()


def account_with(database: Database, *secrets: str) -> int:
    def work(connection) -> int:
        add_domain(connection, "example.org")
        account_id = add_account(connection, "alice@example.org")
        for number, secret in enumerate(secrets):
            hashes = hash_password(secret)
            columns = {"kind": "app", "name": f"app {number}"} if number else {}
            add_credential(connection, account_id, hashes.hash, hashes.scram, **columns)
        return account_id

    return database.write_now(work)


def test_a_hash_is_argon2id_and_fits_scram() -> None:
    hashes = hash_password("søkrit")
    assert hashes.hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    verifier = ScramVerifier.parse(hashes.scram)
    assert make_verifier("søkrit", verifier.salt, verifier.iterations) == verifier
    assert hash_password("søkrit").hash != hashes.hash
    assert verify_hash("søkrit", hashes.hash)
    assert verify_hash("sø\u00adkrit", hashes.hash)  # SASLprep: a soft hyphen is nothing
    assert not verify_hash("sokrit", hashes.hash)


@pytest.mark.parametrize("password", ["", "x" * 1025, "é" * 513, "a\nb", "a\0b"])
def test_what_cannot_be_a_password(password: str) -> None:
    with pytest.raises(PasswordError):
        hash_password(password)


@pytest_twisted.ensureDeferred
async def test_any_password_of_the_account_is_right(each_database: Database, passwords: Passwords) -> None:
    account_id = account_with(each_database, "first", "second")
    assert await passwords.verify(account_id, "first")
    assert await passwords.verify(account_id, "second")
    assert not await passwords.verify(account_id, "third")
    assert not await passwords.verify(account_id, "")
    assert not await passwords.verify(account_id + 1, "first")
    assert not await passwords.verify(None, "first")
    assert not await passwords.verify(account_id, "x" * 5000)


@pytest_twisted.ensureDeferred
async def test_an_unknown_account_costs_a_check_too(
    each_database: Database, passwords: Passwords, checks: list[str]
) -> None:
    await passwords.verify(None, "x")
    await passwords.verify(77, "x")
    assert len(checks) == 2


@pytest_twisted.ensureDeferred
async def test_a_right_password_is_remembered_for_minutes(
    each_database: Database, passwords: Passwords, checks: list[str], clock: Clock
) -> None:
    account_id = account_with(each_database, "first")
    for _ in range(3):
        assert await passwords.verify(account_id, "first")
    assert len(checks) == 1
    assert not await passwords.verify(account_id, "wrong")
    assert not await passwords.verify(account_id, "wrong")
    assert len(checks) == 3
    clock.advance(module.REMEMBER_SECONDS)
    assert await passwords.verify(account_id, "first")
    assert len(checks) == 4
    assert b"first" not in repr(passwords._remembered).encode()


@pytest_twisted.ensureDeferred
async def test_a_changed_or_removed_password_is_forgotten(each_database: Database, passwords: Passwords) -> None:
    account_id = account_with(each_database, "first")
    assert await passwords.verify(account_id, "first")
    await each_database.write(lambda c: c.execute(update(credential).values(hash=hash_password("new").hash)))
    assert not await passwords.verify(account_id, "first")
    assert await passwords.verify(account_id, "new")
    await each_database.write(lambda c: c.execute(delete(credential)))
    assert not await passwords.verify(account_id, "new")


@pytest_twisted.ensureDeferred
async def test_what_is_remembered_is_bounded(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBER_AT_MOST", 1)
    account_id = account_with(database, "first", "second")
    passwords = Passwords(database, clock)
    await gatherResults(
        [Deferred.fromCoroutine(passwords.verify(account_id, secret)) for secret in ("first", "second")]
    )
    assert len(passwords._remembered) == 1
    passwords.stop()


@pytest_twisted.ensureDeferred
async def test_the_verifier_is_the_passwords_own(each_database: Database, passwords: Passwords) -> None:
    account_id = account_with(each_database, "first", "second")
    verifier = await passwords.verifier(account_id)
    assert verifier is not None
    assert make_verifier("first", verifier.salt, verifier.iterations) == verifier
    assert await passwords.verifier(None) is None
    assert await passwords.verifier(account_id + 1) is None
    await each_database.write(lambda c: c.execute(update(credential).values(scram="nonsense", hash="nonsense")))
    assert await passwords.verifier(account_id) is None
    assert not await passwords.verify(account_id, "first")


@pytest_twisted.ensureDeferred
async def test_hashing_in_a_thread(passwords: Passwords) -> None:
    hashes = await passwords.hash("secret")
    assert verify_hash("secret", hashes.hash)
    with pytest.raises(PasswordError):
        await passwords.hash("")


def add_app_password(database: Database, account_id: int, password: str) -> None:
    hashed = hash_app_password(password)
    database.write_now(lambda c: add_credential(c, account_id, hashed, kind="app", name=password[:5]))


@pytest_twisted.ensureDeferred
async def test_app_passwords_cost_a_wrong_one_nothing(
    each_database: Database, passwords: Passwords, checks: list[str]
) -> None:
    account_id = account_with(each_database, "first")
    for password in ("abcde-fghij", "klmno-pqrst"):
        add_app_password(each_database, account_id, password)
    assert await passwords.verify(account_id, "klmno-pqrst")
    assert await passwords.verify(account_id, "first")
    checks.clear()
    assert not await passwords.verify(account_id, "wrong")
    assert len([stored for stored in checks if stored.startswith("$argon2id")]) == 1


@pytest_twisted.ensureDeferred
async def test_an_account_with_app_passwords_only_takes_its_time(
    each_database: Database, passwords: Passwords, checks: list[str]
) -> None:
    account_id = account_with(each_database, "first")
    await each_database.write(lambda c: c.execute(delete(credential)))
    add_app_password(each_database, account_id, "abcde-fghij")
    assert not await passwords.verify(account_id, "wrong")
    assert len([stored for stored in checks if stored.startswith("$argon2id")]) == 1
    assert await passwords.verify(account_id, "abcde-fghij")
    await each_database.write(lambda c: c.execute(delete(credential)))
    assert not await passwords.verify(account_id, "abcde-fghij"), "remembered although it was revoked"


FOREIGN = {
    "argon2": "{ARGON2ID}" + argon2.using(type="ID", memory_cost=64, time_cost=1).hash("imported"),
    "bcrypt": "{BLF-CRYPT}" + bcrypt.using(rounds=4, ident="2y").hash("imported"),
    "sha512_crypt": "{SHA512-CRYPT}" + sha512_crypt.using(rounds=1000).hash("imported"),
    "bare crypt": sha512_crypt.using(rounds=1000).hash("imported"),
    "ssha": ldap_salted_sha1.hash("imported"),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest_twisted.ensureDeferred
async def test_a_hash_made_elsewhere_is_made_anew_at_the_first_log_in(
    database: Database, clock: Clock, checks: list[str], kind: str
) -> None:
    account_id = account_with(database, "first")
    passwords = Passwords(database, clock)
    foreign = read_hash(FOREIGN[kind])
    await database.write(lambda c: c.execute(update(credential).values(hash=foreign, scram=None)))
    assert not await passwords.verify(account_id, "wrong" * 20)
    assert any(stored.startswith("$argon2id") for stored in checks), "quicker than an account that does not exist"
    assert await passwords.verifier(account_id) is None
    assert await passwords.verify(account_id, "imported")
    verifier = await passwords.verifier(account_id)
    assert verifier is not None
    assert make_verifier("imported", verifier.salt, verifier.iterations) == verifier
    assert await passwords.verify(account_id, "imported")
    passwords.stop()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no kind"),
        ("plain", "no kind"),
        ("{PLAIN}secret", "no kind"),
        ("$1$salt$hash", "no kind"),
        ("$argon2id$v=19$m=9999999,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "costs more"),
        ("$6$rounds=5000000$saltsalt$" + "x" * 86, "costs more"),
        ("$2b$15$5jD0LkLz858dAZvi0N9ImO6.Z6jT2aUybPSazJhfcbRrrgbGa3BXq", "costs more"),
        ("$6$salt", "cannot be read"),
    ],
)
def test_hashes_that_are_not_taken_over(text: str, told: str) -> None:
    with pytest.raises(HashError, match=told):
        read_hash(text)
