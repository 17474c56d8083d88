"""Who was told that a sending limit is nearly or wholly used up: once a window, whichever node or session sees it.

Neighbours: `reception/notices` tells; `usage` counts.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from mailstack.policy.limits import FULL_PERCENT, NEAR_PERCENT, Rule, begins_to_free, frees_at
from mailstack.store.schema import account, limit_notice
from mailstack.store.usage import counts_for, lock_domains

_SECOND = 1_000_000
_TELL = text(
    "INSERT INTO limit_notice (account_id, scope, per, percent, at) VALUES (:account_id, :scope, :per, :percent, :at)"
    " ON CONFLICT (account_id, scope, per, percent) DO UPDATE SET at = excluded.at"
)


@dataclass(frozen=True, slots=True)
class NoticeDue:
    """This one is to be told, and when the rule frees: for new mail where it is used up, else the first of it."""

    frees_at: datetime | None


def claim_notice(
    connection: Connection, rule: Rule, account_id: int, domain_id: int, percent: int, now: int
) -> NoticeDue | None:
    """Note that a notice goes out; None when one went out in this window, of the account or, if shared, of the rule.

    Args:
        connection: inside a transaction.
        rule: a rule with a window.
        account_id: the account that came near it.
        domain_id: its domain.
        percent: 80 or 100; the latter tells the former too.
        now: microseconds since 1970.
    """
    lock_domains(connection, [domain_id])
    if connection.scalar(select(account.c.id).where(account.c.id == account_id)) is None:
        return None  # removed meanwhile
    told = select(func.max(limit_notice.c.at)).where(
        limit_notice.c.scope == rule.scope, limit_notice.c.per == rule.per.value, limit_notice.c.percent == percent
    )
    if not rule.is_shared:
        told = told.where(limit_notice.c.account_id == account_id)
    last = connection.scalar(told)
    if last is not None and last > now - rule.per.seconds * _SECOND:
        return None
    row = {"account_id": account_id, "scope": rule.scope, "per": rule.per.value, "at": now}
    connection.execute(_TELL, [row | {"percent": each} for each in (NEAR_PERCENT, FULL_PERCENT) if each <= percent])
    second = now // _SECOND
    counts = counts_for(connection, rule, account_id, domain_id, second)
    frees = frees_at if percent >= FULL_PERCENT else begins_to_free
    return NoticeDue(frees(rule, counts, second))
