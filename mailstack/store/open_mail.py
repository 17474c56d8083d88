"""What waits or is held, for administrators: to list, to show, and to act on.

Synchronous functions over a `Connection`, for `management/queue`. A queue may have a million deliveries, so each act
takes a bounded batch that `find_open` gave; the caller goes on from the last number in a transaction of its own. A
running queue sees each change within a second. Neighbours: `spool` is the queue's side.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select, update

from mailstack.store.schema import delivery, message
from mailstack.store.spool import release_of
from mailstack.store.timeline import IS_OPEN, event_row, iso, record_events

BATCH = 1000
MAX_NUMBER = 2**62


@dataclass(frozen=True, slots=True)
class Selection:
    """Which open deliveries: by their numbers, their messages' queue IDs, their domain; all when nothing is said."""

    numbers: tuple[int, ...] = ()
    queue_ids: tuple[str, ...] = ()
    domain: str | None = None

    @classmethod
    def of(cls, ids: Iterable[str], domain: str | None = None) -> "Selection":
        """From what an administrator types: a delivery's number, or a message's queue ID."""
        given = [text.strip() for text in ids]
        numbers = tuple(int(text) for text in given if text.isdecimal() and text.isascii() and int(text) < MAX_NUMBER)
        names = tuple(text.upper() for text in given if not (text.isdecimal() and text.isascii()))
        return cls(numbers, names or (("",) if given and not numbers else ()), domain)


def list_open(
    connection: Connection, selection: Selection = Selection(), *, after: int = 0, most: int = BATCH
) -> list[dict[str, Any]]:
    """Deliveries that wait or are held, by number, beyond `after`: the rows of `queue list --json`."""
    return [_listed(row) for row in _find(connection, selection, after, most)]


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """What an act needs of a delivery."""

    number: int
    queue_id: str
    recipient: str
    domain: str
    reverse_path: str
    state: str
    is_under_way: bool
    """A node is trying it at this moment, as far as its lease tells."""


def find_open(
    connection: Connection, selection: Selection, *, now: int, after: int = 0, most: int = BATCH
) -> list[OpenDelivery]:
    """The next batch of deliveries to act on, beyond the number `after`; `now` in microseconds since 1970."""
    return [
        OpenDelivery(
            row.id,
            row.message_id,
            row.recipient,
            row.domain,
            row.reverse_path,
            row.state,
            row.leased_until is not None and row.leased_until > now,
        )
        for row in _find(connection, selection, after, most)
    ]


def retry(connection: Connection, found: Sequence[OpenDelivery], now: int) -> int:
    """Try those that wait at once, even where their destination rests; the number that will be."""
    going = [one for one in found if one.state == "waiting" and not one.is_under_way]
    # The lease 0 tells the queue that somebody asked: it then goes past a destination's rest and the start's spread.
    _set(connection, going, next_attempt_at=now, leased_until=0)
    return len(going)


def hold(connection: Connection, found: Sequence[OpenDelivery], now: int, by: str) -> int:
    """Hold those that wait until an administrator releases them; the number held."""
    going = [one for one in found if one.state == "waiting"]
    _set(connection, going, state="held", held_by="administrator")
    _tell(connection, going, now, "held", f"by {by}")
    return len(going)


def release(connection: Connection, found: Sequence[OpenDelivery], now: int, by: str) -> int:
    """Let those that are held go on, whatever held them; their time to live begins anew. The number released."""
    going = [one for one in found if one.state == "held"]
    _set(connection, going, state="waiting", held_by=None, leased_until=0, next_attempt_at=now, created_at=now)
    _tell(connection, going, now, "released", f"by {by}")
    return len(going)


def drop(connection: Connection, found: Sequence[OpenDelivery], now: int, by: str) -> list[str]:
    """End deliveries without a report to the sender; gives the content files to remove once it is committed."""
    said = f"dropped by {by}"
    _set(connection, found, state="failed", held_by=None, leased_until=None, last_reply=said)
    _tell(connection, found, now, "failed", said)
    return release_of(connection, sorted({one.queue_id for one in found}))


def _find(connection: Connection, selection: Selection, after: int, most: int) -> Sequence[Any]:
    wanted: list[ColumnElement[bool]] = []
    if selection.numbers or selection.queue_ids:
        named: list[ColumnElement[bool]] = []
        if selection.numbers:
            named.append(delivery.c.id.in_(selection.numbers))
        if selection.queue_ids:
            named.append(delivery.c.message_id.in_(selection.queue_ids))
        wanted.append(or_(*named))
    if selection.domain is not None:
        wanted.append(delivery.c.domain == selection.domain)
    columns = (*delivery.c, message.c.reverse_path, message.c.size_octets, message.c.created_at.label("accepted_at"))
    found = select(*columns).select_from(delivery.join(message)).where(IS_OPEN, *wanted, delivery.c.id > after)
    return connection.execute(found.order_by(delivery.c.id).limit(most)).all()


def _listed(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "message": row.message_id,
        "reverse_path": row.reverse_path,
        "recipient": row.recipient,
        "state": row.state,
        "held_by": row.held_by,
        "attempts": row.attempts,
        "next_attempt_at": iso(row.next_attempt_at),
        "last_reply": row.last_reply,
        "size": row.size_octets,
        "created_at": iso(row.accepted_at),
    }


def _set(connection: Connection, found: Sequence[OpenDelivery], **values: Any) -> None:
    if found:
        numbers = [one.number for one in found]
        connection.execute(update(delivery).where(delivery.c.id.in_(numbers), IS_OPEN).values(**values))


def _tell(connection: Connection, found: Sequence[OpenDelivery], now: int, name: str, detail: str) -> None:
    record_events(connection, [event_row(one.queue_id, now, name, one.recipient, detail) for one in found])


def count_open(connection: Connection, domain: str | None = None) -> dict[str, int]:
    """How many deliveries wait and are held."""
    counted = select(delivery.c.state, func.count()).where(IS_OPEN).group_by(delivery.c.state)
    if domain is not None:
        counted = counted.where(delivery.c.domain == domain)
    return {"waiting": 0, "held": 0} | {str(state): int(number) for state, number in connection.execute(counted)}
