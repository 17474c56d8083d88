"""What waits or is held, for administrators: to list, to show, and to act on.

Synchronous functions over a `Connection`, for `management/queue`. A queue may have a million deliveries, so each act
takes a bounded batch that `find_open` gave; the caller goes on from the last number in a transaction of its own. A
running queue sees each change within a second. Neighbours: `spool` is the queue's side.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, false, func, or_, select, update

from mailstack.store.schema import delivery, from_micros, message
from mailstack.store.spool import release_of
from mailstack.store.timeline import IS_OPEN, event_row, iso, record_events

BATCH = 1000
MAX_NUMBER = 2**62
NOT_HELD: dict[str, None] = {"held_by": None, "held_for": None}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which open deliveries; all when nothing is said, else those for which all that is said holds."""

    numbers: tuple[int, ...] = ()
    """Their own numbers; together with `queue_ids`, either will do."""
    queue_ids: tuple[str, ...] = ()
    """Their messages' queue IDs."""
    domain: str | None = None
    """The recipient's domain, A-label form."""
    sender: str | None = None
    """The reverse-path: an address, or `@domain` for all of a domain; empty = the null sender."""
    state: str | None = None
    """`waiting` or `held`."""
    accepted_before: int | None = None
    """Microseconds since 1970: only what has been here longer."""
    sent_by_domains: frozenset[str] | None = None
    """Only what these domains (A-label form) send: a domain administrator's view."""

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
    _set(
        connection,
        going,
        state="waiting",
        **NOT_HELD,
        leased_until=0,
        next_attempt_at=now,
        created_at=now,
    )
    _tell(connection, going, now, "released", f"by {by}")
    return len(going)


def drop(connection: Connection, found: Sequence[OpenDelivery], now: int, by: str) -> list[str]:
    """End deliveries without a report to the sender; gives the content files to remove once it is committed."""
    said = f"dropped by {by}"
    _set(connection, found, state="failed", **NOT_HELD, leased_until=None, last_reply=said)
    _tell(connection, found, now, "failed", said)
    return release_of(connection, sorted({one.queue_id for one in found}))


def _find(connection: Connection, selection: Selection, after: int, most: int) -> Sequence[Any]:
    columns = (*delivery.c, message.c.reverse_path, message.c.size_octets, message.c.created_at.label("accepted_at"))
    found = select(*columns).select_from(delivery.join(message))
    found = found.where(IS_OPEN, *_conditions(selection), delivery.c.id > after)
    return connection.execute(found.order_by(delivery.c.id).limit(most)).all()


def _conditions(selection: Selection) -> Iterator[ColumnElement[bool]]:
    """What a row of `delivery` and its `message` must hold to be selected."""
    named: list[ColumnElement[bool]] = []
    if selection.numbers:
        named.append(delivery.c.id.in_(selection.numbers))
    if selection.queue_ids:
        named.append(delivery.c.message_id.in_(selection.queue_ids))
    if named:
        yield or_(*named)
    if selection.domain is not None:
        yield delivery.c.domain == selection.domain
    if selection.state is not None:
        yield delivery.c.state == selection.state
    if selection.accepted_before is not None:
        yield message.c.created_at < selection.accepted_before
    if selection.sender is not None:
        local, at, domain = selection.sender.rpartition("@")
        whole_domain = at and not local
        yield _is_of(domain) if whole_domain else func.lower(message.c.reverse_path) == selection.sender.lower()
    if selection.sent_by_domains is not None:
        # As a set of messages: far fewer than deliveries, and found without a look at each delivery's message.
        theirs = or_(false(), *(_is_of(domain) for domain in sorted(selection.sent_by_domains)))
        yield delivery.c.message_id.in_(select(message.c.id).where(theirs))


def _is_of(domain: str) -> ColumnElement[bool]:
    """The message was sent by somebody of a domain; its name has no wildcard of LIKE but `_`."""
    return message.c.reverse_path.like("%@" + domain.replace("_", "\\_"), escape="\\")


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


def count_open(connection: Connection, selection: Selection = Selection()) -> dict[str, int]:
    """How many deliveries wait and are held."""
    counted = select(func.count(), func.coalesce(func.sum(_IS_HELD), 0)).where(IS_OPEN, *_conditions(selection))
    needs_message = selection.sender or selection.accepted_before
    counted = counted.select_from(delivery.join(message) if needs_message else delivery)
    everything, held = connection.execute(counted).one()
    return {"waiting": int(everything) - int(held), "held": int(held)}


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is open for one destination domain; the times and the words are those of the oldest delivery."""

    domain: str
    waiting: int
    held: int
    oldest_at: datetime
    next_attempt_at: datetime
    last_reply: str


def backlogs(connection: Connection, selection: Selection = Selection(), most: int = 50) -> list[Backlog]:
    """The destinations with most that is open, the longest backlog first."""
    number = func.count().label("number")
    held = func.sum(_IS_HELD).label("held")
    grouped = select(delivery.c.domain, number, held, func.min(delivery.c.id).label("oldest"))
    grouped = grouped.where(IS_OPEN, *_conditions(selection)).group_by(delivery.c.domain)
    top = grouped.order_by(number.desc(), delivery.c.domain).limit(most).subquery()
    found = select(top, delivery.c.created_at, delivery.c.next_attempt_at, delivery.c.last_reply)
    rows = connection.execute(found.join(delivery, delivery.c.id == top.c.oldest).order_by(top.c.number.desc()))
    return [
        Backlog(
            row.domain,
            row.number - row.held,
            row.held,
            from_micros(row.created_at),
            from_micros(row.next_attempt_at),
            row.last_reply,
        )
        for row in rows
    ]


_IS_HELD = case((delivery.c.state == "held", 1), else_=0)
