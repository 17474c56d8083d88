"""Lets go what a sending limit held, oldest first, as its window frees; the runner calls it about each second.

The deliveries released count as submitted now, in the same transaction. Neighbours: `store/acceptance` holds,
`policy/limits` says how much may go, `queue/runner` sends what is released.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, select, text, update

from mailstack.policy.limits import Count, Rule, allowance
from mailstack.store import usage
from mailstack.store.schema import account, delivery, message
from mailstack.store.timeline import event_row, record_events

BATCH = 500
"""Deliveries looked at for one account in one go, so that a long backlog never holds the writer up."""

# Literal text, for SQLite uses a partial index only when it can read the condition in the statement itself.
IS_HELD_BY_LIMIT = text("delivery.state = 'held' AND delivery.held_by LIKE 'limit:%'")


@dataclass(frozen=True, slots=True)
class Released:
    """One delivery that goes on."""

    queue_id: str
    recipient: str


def has_held(connection: Connection) -> bool:
    """True when some limit holds something: a cheap question, asked often."""
    return connection.scalar(select(delivery.c.id).where(IS_HELD_BY_LIMIT).limit(1)) is not None


def release_held(connection: Connection, rules_of: Callable[[int], Sequence[Rule]], now_micros: int) -> list[Released]:
    """Release what the limits allow now.

    Args:
        connection: inside a transaction.
        rules_of: the rules that apply to an account, by its number.
        now_micros: microseconds since 1970.
    """
    submitters = connection.execute(
        select(message.c.submitter_id, account.c.domain_id)
        .select_from(delivery.join(message).outerjoin(account, account.c.id == message.c.submitter_id))
        .where(IS_HELD_BY_LIMIT)
        .distinct()
    ).all()
    usage.lock_domains(connection, [row.domain_id for row in submitters if row.domain_id])
    released: list[Released] = []
    for row in submitters:
        if row.submitter_id is None:  # the account is gone, and its limits with it
            released += _release(connection, _oldest(connection, None), now_micros)
        else:
            rules = rules_of(row.submitter_id)
            released += _release_for(connection, row.submitter_id, row.domain_id, rules, now_micros)
    return released


def _oldest(connection: Connection, submitter_id: int | None) -> Sequence[Row[Any, Any, Any, Any]]:
    return connection.execute(
        select(delivery.c.id, delivery.c.message_id, delivery.c.recipient, message.c.counted)
        .select_from(delivery.join(message))
        .where(IS_HELD_BY_LIMIT, message.c.submitter_id == submitter_id)
        .order_by(delivery.c.id)
        .limit(BATCH)
    ).all()


def _release_for(
    connection: Connection, account_id: int, domain_id: int, rules: Sequence[Rule], now_micros: int
) -> list[Released]:
    second = now_micros // 1_000_000
    counts = {rule: list(usage.counts_for(connection, rule, account_id, domain_id, second)) for rule in rules}
    going: list[Row[Any, Any, Any, Any]] = []
    messages: list[str] = []
    for (queue_id, counted), rows in groupby(
        _oldest(connection, account_id), lambda row: (row.message_id, row.counted)
    ):
        waiting = list(rows)
        free = waiting[: allowance(counts.items(), second, new_message=not counted).recipients]
        going += free
        if free:
            messages += [] if counted else [queue_id]
            for counted_here in counts.values():
                counted_here.append(Count(second, 0 if counted else 1, len(free)))
        if len(free) < len(waiting):
            break
    if messages:
        connection.execute(update(message).where(message.c.id.in_(messages)).values(counted=True))
    if going:
        count = {"account_id": account_id, "domain_id": domain_id, "second": second}
        usage.add_usage(connection, [count | {"messages": len(messages), "recipients": len(going)}])
    return _release(connection, going, now_micros)


def _release(connection: Connection, rows: Sequence[Row[Any, Any, Any, Any]], now_micros: int) -> list[Released]:
    if not rows:
        return []
    connection.execute(
        update(delivery)
        .where(delivery.c.id.in_([row.id for row in rows]))
        .values(state="waiting", held_by=None, leased_until=None, next_attempt_at=now_micros, created_at=now_micros)
    )
    why = "the sending limit has freed"
    record_events(connection, [event_row(row.message_id, now_micros, "released", row.recipient, why) for row in rows])
    return [Released(row.message_id, row.recipient) for row in rows]
