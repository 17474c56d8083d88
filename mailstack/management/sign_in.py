"""Who may sign in to the panel: administrators by name, account owners by address; and the first administrator.

A name that does not exist takes the same road and the same time. The first administrator is made with a token that
`serve` prints; it is void after its use. Neighbours: `sessions` remembers who signed in; `store/passwords` is the same
for mail clients, on the reactor.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256

from passlib.hash import argon2
from sqlalchemy import Connection, delete, insert, select, update

from mailstack.mail.address import AddressError, parse_address
from mailstack.management.actor import Actor, Refused, record
from mailstack.store.schema import account, administrator, credential, domain, micros, panel_session, role, setting
from mailstack.store.settings import lasting_secret, put_setting

ARGON2 = argon2.using(type="ID", memory_cost=19 * 1024, time_cost=2, parallelism=1)
MIN_PASSWORD = 10
MAX_PASSWORD = 1024
_SETUP_TOKEN = "panel.setup_token"  # noqa: S105  # the name of a setting


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can sign in: an administrator or the owner of an account."""

    name: str
    administrator_id: int | None
    account_id: int | None
    all_domains: bool = False
    domains: frozenset[str] = frozenset()
    """A domain administrator's domains."""

    @property
    def is_administrator(self) -> bool:
        """True for administrators of either kind, False for account owners."""
        return self.administrator_id is not None

    def actor(self, source: str) -> Actor:
        """This person acting from an address. An account owner has no role: only acts on his own account take him."""
        own = None if self.is_administrator else self.name
        return Actor(self.name, source, self.all_domains, self.domains, own)


def find_person(connection: Connection, name: str) -> tuple[Person, str] | None:
    """The person of a sign-in name and the hash of the password; None when there is none or it is suspended."""
    row = connection.execute(select(administrator).where(administrator.c.name == name)).one_or_none()
    if row is not None:
        return administrator_person(connection, row.id, row.name, row.all_domains), row.hash
    try:
        address = parse_address(name)
    except AddressError:
        return None
    found = connection.execute(
        select(account.c.id, credential.c.hash)
        .join(credential, credential.c.account_id == account.c.id)
        .join(domain)
        .where(
            domain.c.name == address.domain,
            account.c.local_part == address.local.lower(),
            account.c.state == "active",
            credential.c.kind == "password",
        )
    ).first()
    return (Person(address.key, None, found.id), found.hash) if found else None


def administrator_person(connection: Connection, number: int, name: str, all_domains: bool) -> Person:
    """An administrator with the domains of his roles."""
    names = connection.scalars(select(domain.c.name).join(role).where(role.c.administrator_id == number))
    return Person(name, number, None, all_domains, frozenset(names))


def person_of(connection: Connection, administrator_id: int | None, account_id: int | None) -> Person | None:
    """The administrator or the owner of the account of that row, as of now; None when suspended or gone."""
    if administrator_id is not None:
        row = connection.execute(select(administrator).where(administrator.c.id == administrator_id)).one_or_none()
        return administrator_person(connection, row.id, row.name, row.all_domains) if row else None
    owner = connection.execute(
        select(account.c.local_part, domain.c.name)
        .join(domain)
        .where(account.c.id == account_id, account.c.state == "active")
    ).one_or_none()
    return Person(f"{owner.local_part}@{owner.name}", None, account_id) if owner else None


def password_matches(hashed: str | None, password: str) -> bool:
    """Whether the password is right; False for None, in the same time. Milliseconds of work: no transaction open."""
    if len(password) > MAX_PASSWORD:
        return False
    right: bool = ARGON2.verify(password, hashed or _nobody())
    return right and hashed is not None


@lru_cache(maxsize=1)
def _nobody() -> str:
    hashed: str = ARGON2.hash(secrets.token_urlsafe())
    return hashed


def check_password_strength(password: str) -> None:
    """Raise Refused for a password that is too short or too long to be one."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Refused(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters; take a longer one")


# --- the first administrator -----------------------------------------------------------------------------------------


def has_administrator(connection: Connection) -> bool:
    """Whether somebody can run this host from the panel."""
    return connection.scalar(select(administrator.c.id).limit(1)) is not None


def make_setup_token(connection: Connection) -> str | None:
    """A new token for the set-up page, the one before it is void; None when there is an administrator already."""
    if has_administrator(connection):
        return None
    token = secrets.token_urlsafe(24)
    put_setting(connection, _SETUP_TOKEN, _digest(token))
    return token


def is_setup_token(connection: Connection, token: str) -> bool:
    """Whether the token opens the set-up page; constant-time."""
    wanted = connection.scalar(select(setting.c.value).where(setting.c.name == _SETUP_TOKEN))
    return hmac.compare_digest(wanted or "", _digest(token)) and not has_administrator(connection)


def make_first_administrator(connection: Connection, token: str, name: str, hashed: str, source: str) -> None:
    """Make the first superadministrator and void the token.

    Raises:
        Refused: the token is void, or the name is no name.
    """
    if not is_setup_token(connection, token):
        raise Refused("this set-up link is void; take the one that the running server printed at its last start")
    if not name or len(name) > 64 or not name.isprintable():
        raise Refused("a name has 1 to 64 characters; choose another")
    now = micros(datetime.now(UTC))
    connection.execute(insert(administrator).values(name=name, hash=hashed, all_domains=True, created_at=now))
    connection.execute(delete(setting).where(setting.c.name == _SETUP_TOKEN))
    record(
        connection, Actor(name, source, all_domains=True), "administrator.add", name, "the first, by the set-up page"
    )


def hash_password(password: str) -> str:
    """The argon2id hash to keep; milliseconds of work: no transaction open.

    Raises:
        Refused: the password is too short or too long.
    """
    check_password_strength(password)
    hashed: str = ARGON2.hash(password)
    return hashed


def change_own_password(connection: Connection, person: Person, hashed: str, source: str) -> None:
    """Give an administrator a new password and end the sessions; for account owners see `accounts`."""
    connection.execute(update(administrator).where(administrator.c.id == person.administrator_id).values(hash=hashed))
    connection.execute(delete(panel_session).where(panel_session.c.administrator_id == person.administrator_id))
    record(connection, person.actor(source), "administrator.passwd", person.name)


# --- secrets ---------------------------------------------------------------------------------------------------------


def panel_secret(connection: Connection) -> str:
    """The key that signs the panel's cookies, made at the first start; nodes of one database share it."""
    return lasting_secret(connection, "panel.secret")


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
