"""Events of the timeline, counted by the hour: what the panel's pictures are drawn from when the timeline is long gone.

Nothing is counted on the path of a message. Each minute `catch_up` sums the events that came since the last time,
on a reading connection, and adds the sums in one small commit that also moves the mark (`setting`); who finds the mark
moved by another node drops its sums. Events younger than `SETTLED` are left for the next time: their transactions may
still be open, with smaller numbers than ones that are counted. Neighbours: `timeline` has the events, `management/home`
reads the counts.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from mailstack.store.database import Database
from mailstack.store.schema import account, event, message, micros, setting, tally
from mailstack.store.settings import find_setting, put_setting

SETTLED = timedelta(minutes=1)
KEPT = timedelta(days=400)
BATCH = 20_000
"""Events in one sum: a fraction of a second of a reading thread."""
EVENTS = ("accepted", "delivered", "deferred", "failed", "expired", "held")
HOUR_MICROS = 3_600_000_000
_MARK = "tally.last_event"


@dataclass(frozen=True, slots=True)
class Sums:
    """What a batch of events adds: rows of (hour since 1970, domain, event, number), and the marks around the batch."""

    after: int
    upto: int
    rows: Sequence[tuple[int, int, str, int]]


@dataclass(frozen=True, slots=True)
class HourCount:
    """How often an event happened in an hour (since 1970)."""

    hour: int
    event: str
    number: int


async def catch_up(database: Database, now: datetime) -> None:
    """Count the events that are settled and not counted yet, by whichever node.

    Raises:
        StoreTrouble: the database fails now; nothing is lost or counted twice.
    """
    if await database.read(lambda connection: find_setting(connection, _MARK)) is None:
        await database.write(lambda connection: put_setting(connection, _MARK, "0"))
    while True:
        sums = await database.read(lambda connection: sum_new(connection, now))
        if sums is None:
            break
        await database.write(lambda connection, these=sums: add_sums(connection, these))  # type: ignore[misc]
    oldest = micros(now - KEPT) // HOUR_MICROS
    await database.write(lambda connection: connection.execute(delete(tally).where(tally.c.hour < oldest)).close())


def sum_new(connection: Connection, now: datetime) -> Sums | None:
    """The sums of the next batch of events; None when all that is settled is counted."""
    after = int(find_setting(connection, _MARK) or 0)
    batch = connection.execute(
        select(event.c.id, event.c.at).where(event.c.id > after).order_by(event.c.id).limit(BATCH)
    ).all()
    settled = micros(now - SETTLED)
    upto = after
    for row in batch:
        if row.at > settled:
            break
        upto = row.id
    return Sums(after, upto, _sum(connection, after, upto)) if upto > after else None


def _sum(connection: Connection, after: int, upto: int) -> Sequence[tuple[int, int, str, int]]:
    hour = (event.c.at // HOUR_MICROS).label("hour")
    whose = func.coalesce(account.c.domain_id, 0).label("domain_id")
    found = connection.execute(
        select(hour, whose, event.c.event, func.count())
        .select_from(event.join(message).outerjoin(account, account.c.id == message.c.submitter_id))
        .where(event.c.id > after, event.c.id <= upto, event.c.event.in_(EVENTS))
        .group_by(hour, whose, event.c.event)
    )
    return [(row[0], row[1], row[2], row[3]) for row in found]


def add_sums(connection: Connection, sums: Sums) -> bool:
    """Add the sums of a batch, unless it has been counted meanwhile; whether they were added."""
    is_mine = (setting.c.name == _MARK) & (setting.c.value == str(sums.after))
    if not connection.execute(update(setting).where(is_mine).values(value=str(sums.upto))).rowcount:
        return False
    for hour, domain_id, name, number in sums.rows:
        row = (tally.c.hour == hour) & (tally.c.domain_id == domain_id) & (tally.c.event == name)
        if not connection.execute(update(tally).where(row).values(number=tally.c.number + number)).rowcount:
            connection.execute(insert(tally).values(hour=hour, domain_id=domain_id, event=name, number=number))
    return True


def read_counts(connection: Connection, since_hour: int, domain_ids: Collection[int] | None) -> list[HourCount]:
    """Counts from an hour on, of mail that accounts of some domains sent; None = all mail."""
    counts = select(tally.c.hour, tally.c.event, func.sum(tally.c.number)).where(tally.c.hour >= since_hour)
    if domain_ids is not None:
        counts = counts.where(tally.c.domain_id.in_(domain_ids))
    return [
        HourCount(row[0], row[1], int(row[2]))
        for row in connection.execute(counts.group_by(tally.c.hour, tally.c.event))
    ]
