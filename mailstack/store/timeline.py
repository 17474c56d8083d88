"""The timeline: what became of each message, for the administrator and the sender to read.

`record_events` writes it inside the commits of others, `trace` reads it back for `mailstack trace`, `forget_finished`
ends it after the history's time. Neighbours: `store/acceptance` and `store/spool` write events; `management/trace`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, func, or_, select, text, union

from mailstack.mail.address import AddressError, parse_address
from mailstack.mail.header import subject_hash
from mailstack.store.rows import insert_rows
from mailstack.store.schema import delivery, event, from_micros, message

TRACE_MOST = 200
"""Messages in one trace, the newest; an address may have had thousands."""
NARROW_REACH = 20
"""So many times as many are looked through for a reader who may see some of them only."""
SWEEP_MESSAGES = 500

IS_OPEN = text("delivery.state IN ('waiting', 'held')")
"""Literal, for SQLite uses a partial index only when it can read the condition in the statement itself."""

_HAS_SUBJECT = text("message.subject_hash <> ''")  # literal for the same reason

EventRow = dict[str, Any]


def event_row(queue_id: str, at: int, name: str, recipient: str, detail: str) -> EventRow:
    """One line of a timeline; `at` in microseconds since 1970, `recipient` empty for the message as a whole."""
    return {"message_id": queue_id, "at": at, "event": name, "recipient": recipient, "detail": detail}


def record_events(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Write events, in order."""
    insert_rows(connection, event, rows)


def iso(moment: int) -> str:
    """A stored time as it goes out in JSON: ISO 8601, UTC."""
    return from_micros(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who may see messages from or to some addresses only: those of some domains (A-label), or one account's."""

    domains: frozenset[str]
    account: str | None = None

    def sees(self) -> ColumnElement[bool]:
        """The condition that a message is from one of the addresses, or that an event of it is about one."""
        of_event = event.c.message_id == message.c.id
        return self._is_theirs(message.c.reverse_path) | exists().where(of_event, self._is_theirs(event.c.recipient))

    def _is_theirs(self, address: ColumnElement[str]) -> ColumnElement[bool]:
        lower = func.lower(address)
        ends = [lower.endswith(f"@{domain}", autoescape=True) for domain in sorted(self.domains)]
        return or_(lower == (self.account or "-"), *ends)


def trace(
    connection: Connection, query: str, most: int = TRACE_MOST, reader: Reader | None = None
) -> list[dict[str, Any]]:
    """The timeline of each message that matches, newest message first.

    Args:
        connection: inside a transaction.
        query: a queue ID, a delivery's number, a Message-ID with or without angle brackets, an address of a sender or
            recipient, or a whole subject.
        most: messages to return.
        reader: only messages this one may see something of; None = all.
    """
    messages = _find(connection, query.strip(), most, reader)
    ids = [row.id for row in messages]
    events: dict[str, list[Row[Any]]] = {queue_id: [] for queue_id in ids}
    found = select(event).where(event.c.message_id.in_(ids)).order_by(event.c.at, event.c.id)
    for row in connection.execute(found):
        events[row.message_id].append(row)
    deliveries: dict[str, list[Row[Any]]] = {queue_id: [] for queue_id in ids}
    for row in connection.execute(select(delivery).where(delivery.c.message_id.in_(ids)).order_by(delivery.c.id)):
        deliveries[row.message_id].append(row)
    return [_told(row, deliveries[row.id], events[row.id]) for row in messages]


def _find(connection: Connection, query: str, most: int, reader: Reader | None) -> Sequence[Row[Any]]:
    reach = most * NARROW_REACH if reader else most
    ids = union(
        select(message.c.id).where(message.c.id == query.upper()),
        select(message.c.id).where(
            message.c.header_message_id == query.strip("<> "), message.c.header_message_id != ""
        ),
    )
    if query.isascii() and query.isdecimal() and len(query) < 19:
        ids = union(*ids.selects, select(delivery.c.message_id).where(delivery.c.id == int(query)))
    if wanted := subject_hash(query):
        ids = union(*ids.selects, select(message.c.id).where(message.c.subject_hash == wanted, _HAS_SUBJECT))
    if addresses := _spellings(query.strip("<> ")):
        # The newest of each side first, so that an address with a long history costs no more than one with a short one.
        sent = (
            select(message.c.id)
            .where(func.lower(message.c.reverse_path).in_(addresses))
            .order_by(message.c.id.desc())
            .limit(reach)
        )
        received = (
            select(event.c.message_id)
            .where(func.lower(event.c.recipient).in_(addresses))
            .order_by(event.c.id.desc())
            .limit(reach * 4)  # a message has several events of one recipient
        )
        queued = (
            select(delivery.c.message_id)
            .where(
                IS_OPEN,
                delivery.c.domain == addresses[0].rpartition("@")[2],
                func.lower(delivery.c.recipient).in_(addresses),
            )
            .limit(reach)
        )
        sides = [select(side.subquery().c[0]) for side in (sent, received, queued)]
        ids = union(*ids.selects, *sides)
    found = select(message).where(message.c.id.in_(ids)).order_by(message.c.created_at.desc(), message.c.id.desc())
    if reader is not None:
        found = found.where(reader.sees())
    return connection.execute(found.limit(most)).all()


def _spellings(query: str) -> list[str]:
    """What the databases' lower() may make of an address in the tables; none when the query is no address.

    SQLite's knows ASCII letters only, PostgreSQL's those of its locale.
    """
    try:
        address = parse_address(query)
    except AddressError:
        return []
    ascii_lower = "".join(c.lower() if c.isascii() else c for c in str(address))
    return sorted({ascii_lower, str(address).lower()})


def _told(row: Row[Any], deliveries: Iterable[Row[Any]], events: Sequence[Row[Any]]) -> dict[str, Any]:
    return {
        "message": row.id,
        "message_id": row.header_message_id,
        "reverse_path": row.reverse_path,
        "size": row.size_octets,
        "created_at": iso(row.created_at),
        "recipients": _recipients(deliveries, events),
        "events": [
            {"at": iso(line.at), "event": line.event, "recipient": line.recipient, "detail": line.detail}
            for line in events
        ],
    }


def _recipients(deliveries: Iterable[Row[Any]], events: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    """Who is served from the queue, as it stands; then those whose maildrop had it at once."""
    told: dict[str, dict[str, Any]] = {}
    for row in deliveries:
        told[row.recipient] = {
            "recipient": row.recipient,
            "state": row.state,
            "attempts": row.attempts,
            "next_attempt_at": iso(row.next_attempt_at) if row.state == "waiting" else None,
            "last_reply": row.last_reply,
        }
    for line in events:
        if line.recipient and line.recipient not in told and line.event in ("delivered", "failed"):
            told[line.recipient] = {
                "recipient": line.recipient,
                "state": line.event,
                "attempts": 0,
                "next_attempt_at": None,
                "last_reply": "",
            }
    return list(told.values())


def forget_finished(connection: Connection, before: int, most: int = SWEEP_MESSAGES) -> list[int | None]:
    """Delete the timelines of up to so many messages accepted before a moment (microseconds) that wait for nothing.

    Returns:
        The content IDs of the messages deleted, for the caller to release; fewer than `most` when all is done.
    """
    waits = exists(select(delivery.c.id).where(delivery.c.message_id == message.c.id, IS_OPEN))
    old = select(message.c.id, message.c.content_id).where(message.c.created_at < before, ~waits)
    rows = connection.execute(old.order_by(message.c.created_at).limit(most)).all()
    if rows:
        connection.execute(delete(message).where(message.c.id.in_([row.id for row in rows])))
    return [row.content_id for row in rows]
