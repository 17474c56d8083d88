"""Freezes an account's sending and lets it go: what it submits and what waits in the queue is held meanwhile.

Receiving and fetching go on. Mail submitted while frozen is held for the account's limits (`delivery.held_for`) and
counts when it goes; what stood in the queue was counted before and goes at once. Neighbours: `submissions` holds new
mail by the directory's `frozen_why`, `held` releases it, `management/freezing` is the administrators' side.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, CompoundSelect, Connection, and_, false, func, select, text, update

from mailstack.store.open_mail import BATCH, NOT_HELD, OpenDelivery
from mailstack.store.schema import account, delivery, domain, message
from mailstack.store.timeline import event_row, record_events

_IS_WAITING = text("delivery.state = 'waiting'")
_IS_HELD = text("delivery.state = 'held'")


_HOLDERS = (
    select(account.c.id)
    .join_from(account, domain)
    .where(select(delivery.c.id).where(delivery.c.held_for == account.c.id).exists())
)


@dataclass(frozen=True, slots=True)
class Held:
    """What is held for an account: how many deliveries, the words of the oldest, and since when (microseconds)."""

    account_id: int
    deliveries: int
    held_by: str
    since: int


def freeze(connection: Connection, account_id: int, why: str, now: int) -> bool:
    """Hold what an account sends from `now` (microseconds) on; False when it was frozen already."""
    frozen = (
        update(account)
        .where(account.c.id == account_id, account.c.frozen_at.is_(None))
        .values(frozen_at=now, frozen_why=why)
    )
    if not connection.execute(frozen).rowcount:
        return False
    queued = select(delivery.c.id, delivery.c.message_id, delivery.c.recipient).join(message)
    rows = connection.execute(queued.where(message.c.submitter_id == account_id, _IS_WAITING)).all()
    held_by = f"frozen: {why}"
    for start in range(0, len(rows), BATCH):
        numbers = [row.id for row in rows[start : start + BATCH]]
        connection.execute(update(delivery).where(delivery.c.id.in_(numbers)).values(state="held", held_by=held_by))
    record_events(connection, [event_row(row.message_id, now, "held", row.recipient, held_by) for row in rows])
    return True


def unfreeze(connection: Connection, account_id: int, now: int, by: str) -> bool:
    """Let an account send again, and what was frozen go as its limits allow; False when it was not frozen."""
    thawed = (
        update(account)
        .where(account.c.id == account_id, account.c.frozen_at.is_not(None))
        .values(frozen_at=None, frozen_why="", unfrozen_at=now)
    )
    if not connection.execute(thawed).rowcount:
        return False
    queued = select(delivery.c.id, delivery.c.message_id, delivery.c.recipient).join(message)
    rows = connection.execute(queued.where(_was_queued(account_id))).all()
    for start in range(0, len(rows), BATCH):
        numbers = [row.id for row in rows[start : start + BATCH]]
        connection.execute(
            update(delivery)
            .where(delivery.c.id.in_(numbers))
            .values(state="waiting", **NOT_HELD, leased_until=None, next_attempt_at=now, created_at=now)
        )
    record_events(connection, [event_row(row.message_id, now, "released", row.recipient, f"by {by}") for row in rows])
    return True


def _was_queued(account_id: int) -> ColumnElement[bool]:
    """Held by the freeze while it stood in the queue."""
    return and_(
        message.c.submitter_id == account_id,
        _IS_HELD,
        delivery.c.held_for.is_(None),
        delivery.c.held_by.like("frozen:%"),
    )


def _numbers(account_id: int) -> CompoundSelect[int]:
    """Of what is held for an account; a union, for each half has its own index."""
    by_limits = select(delivery.c.id).where(delivery.c.held_for == account_id)
    return by_limits.union_all(select(delivery.c.id).join(message).where(_was_queued(account_id)))


def held_deliveries(connection: Connection, account_id: int, after: int = 0) -> list[OpenDelivery]:
    """A batch of what limits and a freeze hold for an account, by number, beyond `after`."""
    columns = (delivery.c.id, delivery.c.message_id, delivery.c.recipient, delivery.c.domain, message.c.reverse_path)
    found = select(*columns).join_from(delivery, message).where(delivery.c.id.in_(_numbers(account_id)))
    rows = connection.execute(found.where(delivery.c.id > after).order_by(delivery.c.id).limit(BATCH))
    return [OpenDelivery(*row, "held", is_under_way=False) for row in rows]


def held_of(connection: Connection, account_id: int) -> Held | None:
    """What limits and a freeze hold for one account, what was frozen in the queue too; None when nothing is held."""
    numbers = _numbers(account_id).subquery()
    counted = select(func.count(), func.min(numbers.c.id))
    number, oldest = connection.execute(counted).one()
    if not number:
        return None
    words = select(delivery.c.held_by, delivery.c.created_at).where(delivery.c.id == oldest)
    return Held(account_id, number, *connection.execute(words).one())


def holders(connection: Connection, domains: Iterable[str]) -> list[int]:
    """The accounts of some domains for whom something is held."""
    return list(connection.scalars(_HOLDERS.where(domain.c.name.in_(list(domains)))))


def held_for(connection: Connection, account_ids: Sequence[int] | None = None, most: int = 50) -> list[Held]:
    """What is held for accounts by their limits or a freeze: of those named, or of all; the most deliveries first."""
    number = func.count().label("number")
    groups = select(delivery.c.held_for, number, func.min(delivery.c.id).label("oldest"))
    groups = groups.where(delivery.c.held_for.is_not(None)).group_by(delivery.c.held_for)
    if account_ids is not None:
        groups = groups.where(delivery.c.held_for.in_(account_ids) if account_ids else false())
    top = groups.order_by(number.desc(), delivery.c.held_for).limit(most).subquery()
    found = select(top.c.held_for, top.c.number, delivery.c.held_by, delivery.c.created_at)
    rows = connection.execute(found.join(delivery, delivery.c.id == top.c.oldest).order_by(top.c.number.desc()))
    return [Held(*row) for row in rows]
