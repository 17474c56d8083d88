"""The facts about an account's habit: whom it newly writes to, and where its owner newly logs in from.

Neighbours: `policy/habit` judges, `reception/watch` asks; `known_recipients` writes the first, `note_login` the second.
"""

from sqlalchemy import Column, Connection, delete, func, select, update

from mailstack.policy.habit import BURST, HABIT_DAYS, Lately
from mailstack.store.rows import insert_rows
from mailstack.store.schema import account, known_recipient, login_network

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_BURST = int(BURST.total_seconds()) * _SECOND
SEEN_EACH = _DAY
"""How old a log-in's row may grow before it is written anew: a client that polls each minute costs a write a day."""
FORGET_AFTER = 60 * _DAY


def first_time_lately(connection: Connection, account_id: int, now: int) -> Lately:
    """First-time recipients of an account; `now` in microseconds since 1970."""
    return _lately(connection, known_recipient.c.account_id, known_recipient.c.first_at, account_id, now)


def note_login(connection: Connection, account_id: int, network: str, now: int) -> Lately | None:
    """Remember where an account was logged in to from; how many networks are new, or None when this one is not."""
    is_it = (login_network.c.account_id == account_id) & (login_network.c.network == network)
    last = connection.scalar(select(login_network.c.last_at).where(is_it))
    if last is not None:
        if last <= now - SEEN_EACH:
            connection.execute(update(login_network).where(is_it).values(last_at=now))
        return None
    stays = select(account.c.id).where(account.c.id == account_id).with_for_update(read=True, key_share=True)
    if connection.scalar(stays) is None:
        return None  # removed meanwhile
    row = {"account_id": account_id, "network": network, "first_at": now, "last_at": now}
    insert_rows(connection, login_network, [row], on_conflict="ON CONFLICT (account_id, network) DO NOTHING")
    return _lately(connection, login_network.c.account_id, login_network.c.first_at, account_id, now)


def _lately(connection: Connection, whose: Column[int], first_at: Column[int], account_id: int, now: int) -> Lately:
    """What is new since the burst's beginning, or since an administrator has looked; and the busiest day before."""
    began = now - _BURST
    looked = connection.scalar(select(account.c.unfrozen_at).where(account.c.id == account_id)) or 0
    recent = select(func.count()).where(whose == account_id, first_at > max(began, looked))
    day = (began - first_at) // _DAY
    days = (
        select(func.count().label("number"))
        .where(whose == account_id, first_at <= began, first_at > began - HABIT_DAYS * _DAY)
        .group_by(day)
        .subquery()
    )
    busiest = connection.scalar(select(func.max(days.c.number)))
    return Lately(connection.scalar(recent) or 0, busiest or 0)


def forget_networks(connection: Connection, now: int) -> None:
    """Drop the networks that nobody has logged in from for long."""
    connection.execute(delete(login_network).where(login_network.c.last_at < now - FORGET_AFTER))
