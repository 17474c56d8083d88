"""Sessions of the panel: opened at sign-in, seen and ended by their owner, gone when unused.

The browser holds a random token, the table its hash: whoever reads the database cannot take a session over.
Neighbours: `sign_in` says who somebody is; `admin_ui` asks here at each request.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from mailstack.management.actor import record
from mailstack.management.sign_in import Person, administrator_person, digest, rows_of
from mailstack.store.schema import account, administrator, domain, from_micros, micros, panel_session

UNUSED_FOR = timedelta(hours=12)
AT_MOST = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=5)
"""A session's last use is written no more often than this."""


@dataclass(frozen=True, slots=True)
class Session:
    """One browser signed in."""

    id: int
    source: str
    agent: str
    created_at: datetime
    seen_at: datetime


def open_session(connection: Connection, person: Person, source: str, agent: str) -> str:
    """Sign a person in and write it to the audit log; the token for the cookie."""
    token = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    connection.execute(delete(panel_session).where(_is_over(now)))
    connection.execute(
        insert(panel_session).values(
            token_hash=digest(token),
            administrator_id=person.administrator_id,
            account_id=person.account_id,
            source=source,
            agent=agent[:200],
            created_at=micros(now),
            seen_at=micros(now),
        )
    )
    record(connection, person.actor(source), "sign-in", person.name)
    return token


def find_session(connection: Connection, token: str) -> tuple[int, Person, bool] | None:
    """The session of a token, its person as of now, and whether its last use should be written; None = signed out."""
    now = datetime.now(UTC)
    row = connection.execute(
        select(
            panel_session,
            administrator.c.name,
            administrator.c.all_domains,
            account.c.local_part,
            account.c.state,
            domain.c.name.label("domain"),
        )
        .outerjoin(administrator, administrator.c.id == panel_session.c.administrator_id)
        .outerjoin(account, account.c.id == panel_session.c.account_id)
        .outerjoin(domain, domain.c.id == account.c.domain_id)
        .where(panel_session.c.token_hash == digest(token), ~_is_over(now))
    ).one_or_none()
    if row is None or row.state == "suspended":
        return None
    if row.administrator_id is not None:
        person = administrator_person(connection, row.administrator_id, row.name, row.all_domains)
    else:
        person = Person(f"{row.local_part}@{row.domain}", None, row.account_id)
    return row.id, person, row.seen_at < micros(now - SEEN_EVERY)


def note_seen(connection: Connection, session_id: int) -> None:
    """Write that a session is in use."""
    connection.execute(
        update(panel_session).where(panel_session.c.id == session_id).values(seen_at=micros(datetime.now(UTC)))
    )


def sessions_of(connection: Connection, person: Person) -> list[Session]:
    """A person's sessions, the latest use first."""
    rows = connection.execute(
        select(panel_session)
        .where(rows_of(panel_session, person), ~_is_over(datetime.now(UTC)))
        .order_by(panel_session.c.seen_at.desc())
    )
    return [Session(x.id, x.source, x.agent, from_micros(x.created_at), from_micros(x.seen_at)) for x in rows]


def end_session(connection: Connection, person: Person, session_id: int) -> None:
    """End one of a person's own sessions; nothing happens when it is not theirs."""
    connection.execute(delete(panel_session).where(rows_of(panel_session, person), panel_session.c.id == session_id))


def end_sessions(connection: Connection, person: Person, *, but: int | None = None) -> None:
    """End all of a person's sessions, but for the one with a number."""
    connection.execute(delete(panel_session).where(rows_of(panel_session, person), panel_session.c.id != (but or 0)))


def _is_over(now: datetime) -> ColumnElement[bool]:
    is_unused = panel_session.c.seen_at < micros(now - UNUSED_FOR)
    is_old = panel_session.c.created_at < micros(now - AT_MOST)
    return is_unused | is_old
