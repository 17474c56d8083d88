"""Lets go what a sending limit or a freeze held, oldest first, as its windows free; the runner calls each second.

The deliveries released count as submitted now, in the same transaction. What a frozen account sent stays until
somebody has looked. Neighbours: `store/submissions` holds, `policy/limits` says how much may go, `queue/runner` sends
what is released.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, Row, select, text, update

from mailstack.policy.limits import Rule, Used, how_many, window_rules
from mailstack.store.known_recipients import KnownRecipients, recipient_key
from mailstack.store.schema import delivery, message
from mailstack.store.timeline import event_row, record_events
from mailstack.store.usage import Ledger, lock_domains

BATCH = 500
"""Deliveries looked at for one account in one go, so that a long backlog never holds the writer up."""
WHY_RELEASED = "the sending limit has freed"

# A walk from account to account in the index: its cost is the number of accounts, not of what is held.
_HOLDERS = text("""
WITH RECURSIVE walk(id) AS (
    SELECT min(held_for) FROM delivery WHERE held_for IS NOT NULL
    UNION ALL
    SELECT (SELECT min(held_for) FROM delivery WHERE held_for > walk.id) FROM walk WHERE walk.id IS NOT NULL
)
SELECT account.id, account.domain_id FROM walk JOIN account ON account.id = walk.id
WHERE account.frozen_at IS NULL ORDER BY account.id
""")


@dataclass(frozen=True, slots=True)
class Released:
    """One delivery that goes on."""

    queue_id: str
    recipient: str


_Row = Row[int, str, str, bool]  # delivery, message, recipient, whether the message is counted


def has_held(connection: Connection) -> bool:
    """True when some limit holds something that it may let go: a cheap question, asked often."""
    return connection.execute(_HOLDERS).first() is not None


def release_held(connection: Connection, rules_of: Callable[[int], Sequence[Rule]], now_micros: int) -> list[Released]:
    """Release what the limits allow now.

    Args:
        connection: inside a transaction.
        rules_of: the rules that apply to an account, by its number.
        now_micros: microseconds since 1970.
    """
    holders = connection.execute(_HOLDERS).all()
    lock_domains(connection, [row.domain_id for row in holders])
    ledger, known = Ledger(connection), KnownRecipients(connection)
    going: list[_Row] = []
    for row in holders:
        going += _allowed(connection, row.id, row.domain_id, rules_of(row.id), now_micros, ledger, known)
    ledger.write()
    known.write()
    return _release(connection, going, now_micros)


def _oldest(connection: Connection, account_id: int) -> Sequence[_Row]:
    return connection.execute(
        select(delivery.c.id, delivery.c.message_id, delivery.c.recipient, message.c.counted)
        .select_from(delivery.join(message))
        .where(delivery.c.held_for == account_id)
        .order_by(delivery.c.id)
        .limit(BATCH)
    ).all()


def _allowed(
    connection: Connection,
    account_id: int,
    domain_id: int,
    rules: Sequence[Rule],
    now_micros: int,
    ledger: Ledger,
    known: KnownRecipients,
) -> list[_Row]:
    """The oldest deliveries of an account that may go now; they are counted."""
    second, windows = now_micros // 1_000_000, window_rules(rules)
    going: list[_Row] = []
    messages: list[str] = []
    rows = _oldest(connection, account_id)
    known.load(account_id, [recipient_key(row.recipient) for row in rows])
    for (queue_id, counted), group in groupby(rows, lambda row: (row.message_id, row.counted)):
        waiting = list(group)
        keys = [recipient_key(row.recipient) for row in waiting]
        firsts = known.firsts(account_id, keys)
        allowances = ledger.allowances(windows, account_id, domain_id, second, new_message=not counted)
        free, _ = how_many(allowances, firsts)
        if free:
            going += waiting[:free]
            messages += [] if counted else [queue_id]
            known.add(account_id, keys[:free], now_micros)
            ledger.add(account_id, domain_id, second, Used(0 if counted else 1, free, sum(firsts[:free])))
        if free < len(waiting):
            break
    if messages:
        connection.execute(update(message).where(message.c.id.in_(messages)).values(counted=True))
    return going


def _release(connection: Connection, rows: Sequence[_Row], now_micros: int) -> list[Released]:
    for start in range(0, len(rows), BATCH):
        numbers = [row.id for row in rows[start : start + BATCH]]
        values = {"leased_until": None, "next_attempt_at": now_micros, "created_at": now_micros}
        connection.execute(
            update(delivery)
            .where(delivery.c.id.in_(numbers))
            .values(state="waiting", held_by=None, held_for=None, **values)
        )
    record_events(
        connection, [event_row(row.message_id, now_micros, "released", row.recipient, WHY_RELEASED) for row in rows]
    )
    return [Released(row.message_id, row.recipient) for row in rows]
