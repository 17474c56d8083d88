"""The vacation reply of an account: what it answers by itself while its owner is away (RFC 3834).

Neighbours: `policy/vacation` decides who is answered, `reception/vacation` answers.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from mailstack.management.accounts import lock_own, number_of
from mailstack.management.actor import Actor, Refused, record
from mailstack.store.directory import bump_version
from mailstack.store.schema import from_micros, micros, vacation, vacation_sent

MAX_SUBJECT = 200
MAX_BODY = 10_000


@dataclass(frozen=True, slots=True)
class Vacation:
    """A reply and its time. Without a subject that of the mail is answered; without a start or end it is open there."""

    subject: str
    body: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def last_day(self) -> date | None:
        """The last day (UTC) on which somebody is answered."""
        return None if self.ends_at is None else (self.ends_at - timedelta(microseconds=1)).date()


def get(connection: Connection, actor: Actor, address: str) -> Vacation | None:
    """The vacation reply of an account, past and coming ones too; `Refused` when there is no such account."""
    number, _ = number_of(connection, actor, address)
    row = connection.execute(select(vacation).where(vacation.c.account_id == number)).first()
    if row is None:
        return None
    return Vacation(row.subject, row.body, _moment(row.starts_at), _moment(row.ends_at))


def change(connection: Connection, actor: Actor, address: str, wanted: Vacation | None) -> None:
    """Set the vacation reply of an account, or take it back with None. Everybody is then answered anew.

    Raises:
        Refused: no such account, nothing to say, too much, or an end before the start.
    """
    number, key = lock_own(connection, actor, address)
    connection.execute(delete(vacation).where(vacation.c.account_id == number))
    connection.execute(delete(vacation_sent).where(vacation_sent.c.account_id == number))
    if wanted is None:
        record(connection, actor, "account.vacation", key, "none")
    else:
        connection.execute(insert(vacation).values(account_id=number, **_check(wanted)))
        record(connection, actor, "account.vacation", key, _told(wanted))
    bump_version(connection)


def _check(wanted: Vacation) -> dict[str, str | int | None]:
    subject, body = wanted.subject.strip(), wanted.body.replace("\r\n", "\n").strip()
    if not body:
        raise Refused("a vacation reply needs a text; say that you are away, and until when")
    if len(body) > MAX_BODY:
        raise Refused(f"the text has {len(body)} characters, {MAX_BODY} are the most; shorten it")
    if len(subject) > MAX_SUBJECT or not subject.isprintable():
        raise Refused(f"a subject is one line of at most {MAX_SUBJECT} characters; shorten it, or leave it out")
    starts_at, ends_at = wanted.starts_at, wanted.ends_at
    if starts_at and ends_at and ends_at <= starts_at:
        raise Refused("the vacation ends before it starts; give a later end")
    return {
        "subject": subject,
        "body": body,
        "starts_at": None if starts_at is None else micros(starts_at),
        "ends_at": None if ends_at is None else micros(ends_at),
    }


def _told(wanted: Vacation) -> str:
    start = f"from {wanted.starts_at:%Y-%m-%d %H:%M}" if wanted.starts_at else "from now"
    return f"{start} to {wanted.ends_at:%Y-%m-%d %H:%M}" if wanted.ends_at else f"{start} on"


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)
