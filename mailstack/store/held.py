"""Lets go what a sending limit or a freeze held, oldest first, as its windows free; `queue/release` calls each second.

The deliveries released count as submitted now, in the same transaction. What a frozen account sent stays until
somebody has looked. Accounts take turns, so that thousands of them with held mail cost no more in a second than some.
Neighbours: `store/submissions` holds, `policy/limits` says how much may go, `queue/runner` sends what is released.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, Row, select, text, update

from mailstack.policy.limits import Rule, Used, how_many, window_rules
from mailstack.store.known_recipients import KnownRecipients, recipient_key
from mailstack.store.schema import account, delivery, message
from mailstack.store.timeline import event_row, record_events
from mailstack.store.usage import Ledger, lock_domains

BATCH = 500
"""Deliveries looked at for one account in one go, so that a long backlog never holds the writer up."""
HOLDERS_MOST = 50
"""Accounts looked at in one turn."""
WHY_RELEASED = "the sending limit has freed"

# A walk from account to account in the index: its cost is the number of accounts, not of what is held.
_HOLDERS = text("""
WITH RECURSIVE walk(id, step) AS (
    SELECT (SELECT min(held_for) FROM delivery WHERE held_for > :after), 1
    UNION ALL
    SELECT (SELECT min(held_for) FROM delivery WHERE held_for > walk.id), step + 1
    FROM walk WHERE walk.id IS NOT NULL AND step < :most
)
SELECT account.id, account.domain_id, account.frozen_at IS NOT NULL AS is_frozen
FROM walk JOIN account ON account.id = walk.id ORDER BY account.id
""")


@dataclass(frozen=True, slots=True)
class Holder:
    """An account for which something is held."""

    account_id: int
    domain_id: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose limits would let something go now, and the account after which the next turn begins (0 = the first)."""

    holders: list[Holder]
    after: int


@dataclass(frozen=True, slots=True)
class Released:
    """One delivery that goes on."""

    queue_id: str
    recipient: str


_Row = Row[int, str, str, bool]  # delivery, message, recipient, whether the message is counted


def find_releasable(
    connection: Connection, rules_of: Callable[[int], Sequence[Rule]], now_micros: int, after: int = 0
) -> Turn:
    """The next accounts with held mail that may go: a question for a reading connection. See `release_held`."""
    rows = connection.execute(_HOLDERS, {"after": after, "most": HOLDERS_MOST}).all()
    holders = [Holder(row.id, row.domain_id) for row in rows if not row.is_frozen]
    ledger, known = Ledger(connection), KnownRecipients(connection)
    going = [x for x in holders if _allowed(connection, x, rules_of(x.account_id), now_micros, ledger, known)]
    return Turn(going, rows[-1].id if len(rows) == HOLDERS_MOST else 0)


def release_held(
    connection: Connection, holders: Sequence[Holder], rules_of: Callable[[int], Sequence[Rule]], now_micros: int
) -> list[Released]:
    """Release what the limits allow now.

    Args:
        connection: inside a transaction.
        holders: the accounts, as `find_releasable` gave them; what is frozen meanwhile is passed over.
        rules_of: the rules that apply to an account, by its number.
        now_micros: microseconds since 1970.
    """
    lock_domains(connection, [holder.domain_id for holder in holders])
    ids = [holder.account_id for holder in holders]
    free = select(account.c.id).where(account.c.id.in_(ids), account.c.frozen_at.is_(None))
    alive = set(connection.scalars(free))
    ledger, known = Ledger(connection), KnownRecipients(connection)
    going: list[_Row] = []
    for holder in holders:
        if holder.account_id in alive:
            going += _allowed(connection, holder, rules_of(holder.account_id), now_micros, ledger, known)
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
    holder: Holder,
    rules: Sequence[Rule],
    now_micros: int,
    ledger: Ledger,
    known: KnownRecipients,
) -> list[_Row]:
    """The oldest deliveries of an account that may go now; they are counted in the ledger."""
    account_id, domain_id = holder.account_id, holder.domain_id
    second, windows = now_micros // 1_000_000, window_rules(rules)
    at_once = ledger.allowances(windows, account_id, domain_id, second, new_message=False)
    if any(not each.recipients for each in at_once):
        return []  # as most are at most times: nothing else need be read
    going: list[_Row] = []
    rows = _oldest(connection, account_id)
    known.load(account_id, [recipient_key(row.recipient) for row in rows])
    for (_, is_counted), group in groupby(rows, lambda row: (row.message_id, row.counted)):
        is_new = not is_counted
        waiting = list(group)
        keys = [recipient_key(row.recipient) for row in waiting]
        firsts = known.firsts(account_id, keys)
        free, _ = how_many(ledger.allowances(windows, account_id, domain_id, second, new_message=is_new), firsts)
        if free:
            going += waiting[:free]
            known.add(account_id, keys[:free], now_micros)
            ledger.add(account_id, domain_id, second, Used(1 if is_new else 0, free, sum(firsts[:free])))
        if free < len(waiting):
            break
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
    messages = sorted({row.message_id for row in rows if not row.counted})
    for start in range(0, len(messages), BATCH):
        chunk = messages[start : start + BATCH]
        connection.execute(update(message).where(message.c.id.in_(chunk)).values(counted=True))
    record_events(
        connection, [event_row(row.message_id, now_micros, "released", row.recipient, WHY_RELEASED) for row in rows]
    )
    return [Released(row.message_id, row.recipient) for row in rows]
