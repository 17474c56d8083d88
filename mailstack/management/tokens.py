"""Tokens of the HTTP API: a program's way in, with what it may do, as the person who made it.

The program holds the token, the table only its hash. A token never reaches further than its person: an administrator's
over their domains, an owner's over their account. Neighbours: `admin_ui/api` asks here at each request; `sign_in` and
`sessions` are the same for people.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from mailstack.management.actor import Actor, Refused, record
from mailstack.management.acts import now_micros
from mailstack.management.sign_in import Person, digest, person_of, rows_of
from mailstack.store.schema import api_token, from_micros, micros

PREFIX = "mst_"
"""So that people, and programs that look for leaked secrets, know a token when they see one."""
MOST_PER_PERSON = 50
MAX_NAME = 64
USED_EVERY = timedelta(minutes=5)
"""A token's last use is written no more often than this."""

SCOPES = (
    *("domains:read", "domains:write", "accounts:read", "accounts:write", "aliases:read", "aliases:write"),
    *("limits:read", "limits:write", "queue:read", "queue:write", "trace:read", "audit:read", "messages:send"),
    *("administrators:read", "administrators:write", "overview:read"),
)
"""What a token may be good for; `write` does not include `read`."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its owner sees it, without the secret."""

    id: int
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether its time is up."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who calls, by which token, with which scopes."""

    token_id: int
    person: Person
    scopes: frozenset[str]
    is_use_stale: bool
    """Whether the token's last use should be written."""


def create(
    connection: Connection, actor: Actor, person: Person, name: str, scopes: tuple[str, ...], days: int | None
) -> str:
    """Make a token; it is told this once.

    Args:
        connection: inside a transaction.
        actor: the person, acting.
        person: whose token it is.
        name: what it is for.
        scopes: some of `SCOPES`.
        days: how long it is good for; None = until it is revoked.

    Raises:
        Refused: a bad name, no or unknown scopes, a bad time, or too many tokens.
    """
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise Refused(f"a token's name has 1 to {MAX_NAME} characters; say what the token is for")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise Refused(f"{' '.join(unknown) or 'nothing'} is no scope; take some of {' '.join(SCOPES)}")
    if days is not None and not 0 < days <= 3650:
        raise Refused("a token is good for 1 to 3650 days, or until it is revoked")
    number = connection.scalar(select(func.count()).select_from(api_token).where(rows_of(api_token, person))) or 0
    if number >= MOST_PER_PERSON:
        raise Refused(f"you have {MOST_PER_PERSON} tokens already; revoke one that is not used any more")
    token = PREFIX + secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    connection.execute(
        insert(api_token).values(
            administrator_id=person.administrator_id,
            account_id=person.account_id,
            name=name.strip(),
            token_hash=digest(token),
            scopes=" ".join(scope for scope in SCOPES if scope in scopes),
            created_at=micros(now),
            expires_at=None if days is None else micros(now + timedelta(days=days)),
        )
    )
    record(connection, actor, "token.create", person.name, f"{name.strip()}: {' '.join(scopes)}")
    return token


def find(connection: Connection, person: Person) -> list[Token]:
    """A person's tokens, the newest first."""
    rows = connection.execute(select(api_token).where(rows_of(api_token, person)).order_by(api_token.c.id.desc()))
    return [
        Token(
            row.id,
            row.name,
            tuple(row.scopes.split()),
            from_micros(row.created_at),
            None if row.expires_at is None else from_micros(row.expires_at),
            None if row.used_at is None else from_micros(row.used_at),
        )
        for row in rows
    ]


def revoke(connection: Connection, actor: Actor, person: Person, token_id: int) -> None:
    """End one of a person's own tokens; `Refused` when it is not theirs."""
    mine = (rows_of(api_token, person), api_token.c.id == token_id)
    name = connection.scalar(select(api_token.c.name).where(*mine))
    if name is None:
        raise Refused("there is no such token of yours; it may have been revoked already")
    connection.execute(delete(api_token).where(*mine))
    record(connection, actor, "token.revoke", person.name, name)


def find_bearer(connection: Connection, token: str) -> Bearer | None:
    """The person of a token as of now; None for one that is unknown, over, or of somebody who is suspended or gone."""
    if not token.startswith(PREFIX):
        return None
    now = now_micros()
    row = connection.execute(select(api_token).where(api_token.c.token_hash == digest(token))).one_or_none()
    if row is None or (row.expires_at is not None and row.expires_at <= now):
        return None
    person = person_of(connection, row.administrator_id, row.account_id)
    if person is None:
        return None
    is_stale = row.used_at is None or row.used_at < now - USED_EVERY // timedelta(microseconds=1)
    return Bearer(row.id, person, frozenset(row.scopes.split()), is_stale)


def note_used(connection: Connection, token_id: int) -> None:
    """Write that a token is in use."""
    connection.execute(update(api_token).where(api_token.c.id == token_id).values(used_at=now_micros()))
