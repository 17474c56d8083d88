"""Who may sign in to the panel: administrators by name, account owners by address.

A name that does not exist takes the same road and the same time. Neighbours: `factors` and `passkeys` for the second
step, `sessions` remembers who signed in, `set_up` makes the first administrator; `store/passwords` is the same for mail
clients, on the reactor.
"""

import secrets
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from sqlalchemy import ColumnElement, Connection, Table, select

from mailstack.mail.address import AddressError, parse_address
from mailstack.management.actor import Actor
from mailstack.store.passwords import hash_password, verify_hash
from mailstack.store.schema import account, administrator, credential, domain, role
from mailstack.store.settings import lasting_secret


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
            account.c.local_part == address.local_key,
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
    is_right = verify_hash(password, hashed or _nobody())
    return is_right and hashed is not None


@lru_cache(maxsize=1)
def _nobody() -> str:
    return hash_password(secrets.token_urlsafe()).hash


def password_hash_of(connection: Connection, person: Person) -> str | None:
    """The hash of a person's password, to ask for it again before what matters."""
    found = find_person(connection, person.name)
    return found[1] if found and found[0] == person else None


def panel_secret(connection: Connection) -> str:
    """The key that signs the panel's cookies, made at the first start; nodes of one database share it."""
    return lasting_secret(connection, "panel.secret")


# --- what the neighbours share ----------------------------------------------------------------------------------------


def rows_of(table: Table, person: Person) -> ColumnElement[bool]:
    """The condition that a row of `panel_session`, `factor` or `api_token` is a person's."""
    if person.administrator_id is not None:
        return table.c.administrator_id == person.administrator_id
    return table.c.account_id == person.account_id


def digest(token: str) -> str:
    """The hash by which a random token is kept."""
    return sha256(token.encode()).hexdigest()
