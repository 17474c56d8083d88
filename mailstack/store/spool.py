"""The spool: accepted mail that is still to be delivered, as the queue sees it.

`Spool` gives out work (`claims`) and takes its results, all in the group commit of `Database`. A result is one row
changed and its events; when the last delivery of a message has ended, its content goes too, unless a maildrop holds it.
Neighbours: `queue/runner` and `queue/attempt` are the users, `open_mail` is the administrators' side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, func, select, text, update

from mailstack.store import claims, timeline
from mailstack.store.acceptance import Expansion, expand_from_queue
from mailstack.store.claims import Claimed, Due, Terms, Unit, Want
from mailstack.store.content import ContentStore, StoredContent, release_contents
from mailstack.store.database import Database
from mailstack.store.rows import change_rows
from mailstack.store.schema import content, delivery, message


@dataclass(frozen=True, slots=True)
class Result:
    """What an attempt came to for one delivery; times in microseconds since 1970.

    `state` is waiting, delivered or failed; `events` are (moment, event, detail) for its timeline.
    """

    delivery_id: int
    queue_id: str
    recipient: str
    at: int
    state: str
    next_attempt_at: int
    last_reply: str
    is_delay_told: bool
    events: tuple[tuple[int, str, str], ...]
    expansion: Expansion | None = None
    """What a recipient of ours becomes, in the same commit: a crash can neither lose nor repeat it."""


_CHANGE = (
    "UPDATE delivery SET next_attempt_at = given.again, last_reply = given.reply, delay_told = given.told,"
    " leased_until = NULL"
)
# An end is an end, also of what was held meanwhile.
_END = f"{_CHANGE}, state = given.became, held_by = NULL, held_for = NULL FROM given WHERE delivery.id = given.ended"
_DEFER = f"{_CHANGE} FROM given WHERE delivery.id = given.ended AND delivery.state = 'waiting'"
_CONTENTS_OF = select(message.c.content_id).where(
    message.c.id.in_(bindparam("ids", expanding=True)), message.c.content_id.is_not(None)
)
_GIVE_BACK = (
    update(delivery)
    .where(delivery.c.id == bindparam("given"), text("delivery.state = 'waiting'"))
    .values(attempts=delivery.c.attempts - 1, next_attempt_at=bindparam("due_at", type_=BigInteger), leased_until=None)
)


def queue_sizes(connection: Connection) -> dict[str, int]:
    """How many recipients wait, and how many are held; each count reads its partial index only."""
    return {
        state: connection.scalar(select(func.count()).select_from(delivery).where(text(f"state = '{state}'"))) or 0
        for state in ("waiting", "held")
    }


class Spool:
    """The deliveries of one database.

    Args:
        database: open.
        contents: where the messages' content is.
    """

    def __init__(self, database: Database, contents: ContentStore) -> None:
        self._database = database
        self._contents = contents

    async def void_leases(self) -> None:
        """At the start: on SQLite there is one node, so every lease is a dead predecessor's. Elsewhere they run out."""
        if self._database.is_sqlite:
            await self._database.write(_void_leases)

    async def due_domains(self, now: int, after: str | None) -> tuple[list[Due], str | None]:
        """A step of the walk over lanes of domains with due mail; see `claims.due_domains`."""
        return await self._database.read(lambda connection: claims.due_domains(connection, now, after))

    async def claim(self, wants: Sequence[Want], terms: Terms) -> Claimed:
        """Lease due deliveries, in units; see `claims.claim`."""
        return await self._database.write(lambda connection: claims.claim(connection, wants, terms))

    async def contents(self, units: Sequence[Unit]) -> dict[int, StoredContent]:
        """The contents of these units by content ID, small ones with their octets, in one query."""
        ids = {unit.content_id for unit in units if unit.content_id is not None}
        found = select(content.c.id, content.c.size_octets, content.c.body, content.c.file).where(content.c.id.in_(ids))
        rows = await self._database.read(lambda connection: connection.execute(found).all())
        return {row.id: self._contents.stored(row.size_octets, row.body, row.file) for row in rows}

    async def record(self, results: Sequence[Result]) -> None:
        """Write what became of attempts; results of many units share statements and commit."""
        files = await self._database.write_many(_record_many, results)
        await self._contents.remove_files(files)

    async def give_back(self, units: Sequence[Unit]) -> None:
        """Undo the claim of units that were not tried."""
        rows = [{"given": due.delivery_id, "due_at": due.due_at} for unit in units for due in unit.recipients]
        if rows:
            await self._database.write(lambda connection: connection.execute(_GIVE_BACK, rows).close())

    async def renew_leases(self, delivery_ids: Sequence[int], leased_until: int) -> None:
        """Hold on to deliveries whose attempt takes long."""

        def renew(connection: Connection) -> None:
            for start in range(0, len(delivery_ids), 500):
                chunk = delivery_ids[start : start + 500]
                connection.execute(
                    update(delivery)
                    .where(delivery.c.id.in_(chunk), delivery.c.leased_until.is_not(None))
                    .values(leased_until=leased_until)
                )

        if delivery_ids:
            await self._database.write(renew)

    async def forget_finished(self, before: int) -> bool:
        """Delete one batch of finished messages accepted before a moment; True while there may be more."""

        def sweep(connection: Connection) -> tuple[int, list[str]]:
            contents = timeline.forget_finished(connection, before)
            return len(contents), release_contents(connection, [number for number in contents if number is not None])

        forgotten, files = await self._database.write(sweep)
        await self._contents.remove_files(files)
        return forgotten == timeline.SWEEP_MESSAGES


def _record_many(connection: Connection, batches: list[Sequence[Result]]) -> list[list[str]]:
    """A handler for `write_many`; gives the files of contents that are needed no more, all with the first batch."""
    results = [result for batch in batches for result in batch]
    expanding = _still_open(connection, [result for result in results if result.expansion is not None])
    ended = [result for result in results if result.state != "waiting"]
    queue_ids = sorted({result.queue_id for result in ended})
    if queue_ids:
        _lock_messages(connection, queue_ids)
        change_rows(connection, _END, [_row(result) | {"became": result.state} for result in ended])
    change_rows(connection, _DEFER, [_row(result) for result in results if result.state == "waiting"])
    timeline.record_events(
        connection,
        [
            timeline.event_row(result.queue_id, at, name, result.recipient, detail)
            for result in results
            for at, name, detail in result.events
        ],
    )
    for result, is_bulk in expanding:
        if result.expansion is not None:
            expand_from_queue(connection, result.queue_id, result.recipient, result.expansion, result.at, is_bulk)
    return [release_of(connection, queue_ids), *([] for _ in batches[1:])]


def _still_open(connection: Connection, results: Sequence[Result]) -> list[tuple[Result, bool]]:
    """Those whose delivery has not ended, each with whether it is bulk.

    The others were dropped meanwhile, or written before by a commit that seemed to fail.
    """
    if not results:
        return []
    ids = [result.delivery_id for result in results]
    rows = connection.execute(select(delivery.c.id, delivery.c.is_bulk).where(delivery.c.id.in_(ids), timeline.IS_OPEN))
    lanes = {row.id: row.is_bulk for row in rows}
    return [(result, lanes[result.delivery_id]) for result in results if result.delivery_id in lanes]


def _lock_messages(connection: Connection, queue_ids: Sequence[str]) -> None:
    """Two nodes that end the last two deliveries of a message at once must see each other's end."""
    if connection.dialect.name != "sqlite":  # there no two write at once
        locked = select(message.c.id).where(message.c.id.in_(queue_ids)).order_by(message.c.id)
        connection.execute(locked.with_for_update(key_share=True)).close()


def release_of(connection: Connection, queue_ids: Sequence[str]) -> list[str]:
    """Let go of the contents of messages that wait for nothing more; the files to remove after the commit."""
    if not queue_ids:
        return []
    return release_contents(connection, connection.scalars(_CONTENTS_OF, {"ids": queue_ids}).all())


def _row(result: Result) -> dict[str, Any]:
    return {
        "ended": result.delivery_id,
        "again": result.next_attempt_at,
        "reply": result.last_reply,
        "told": result.is_delay_told,
    }


def _void_leases(connection: Connection) -> None:
    connection.execute(text("UPDATE delivery SET leased_until = NULL WHERE state = 'waiting' AND leased_until > 0"))
