"""What accounts have submitted, by the second, kept for all submissions so that a new rule counts at once.

The count inside the accepting commit is the truth (`store/acceptance`); with PostgreSQL the
rows of the domains concerned are locked, so that parallel sessions and nodes never pass a cap. Neighbours:
`policy/limits` decides, purely.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, select, text

from mailstack.policy.limits import Count, Per, Rule, allowance, frees_at, oldest_counted, used
from mailstack.store.schema import account, domain, usage

_ADD = text(
    "INSERT INTO usage (account_id, second, domain_id, messages, recipients)"
    " VALUES (:account_id, :second, :domain_id, :messages, :recipients)"
    " ON CONFLICT (account_id, second) DO UPDATE SET"
    " messages = usage.messages + excluded.messages, recipients = usage.recipients + excluded.recipients"
)


@dataclass(frozen=True, slots=True)
class RuleUsage:
    """A rule with what stands against it: the accounts' together, or the busiest account's where each has its own."""

    rule: Rule
    used_messages: int
    used_recipients: int
    frees_at: datetime | None


def lock_domains(connection: Connection, domain_ids: Iterable[int]) -> None:
    """Let one writer at a time judge the limits of these domains (a no-op on SQLite, which has one writer anyway)."""
    ids = sorted(set(domain_ids))
    if ids and connection.dialect.name != "sqlite":
        connection.execute(select(domain.c.id).where(domain.c.id.in_(ids)).order_by(domain.c.id).with_for_update())


def add_usage(connection: Connection, rows: Sequence[dict[str, int]]) -> None:
    """Count submissions; a row has account_id, second, domain_id, messages, recipients."""
    if rows:
        connection.execute(_ADD, rows)


def counts_for(connection: Connection, rule: Rule, account_id: int, domain_id: int, now_second: int) -> list[Count]:
    """The counts of the rule's window: of the whole domain for a shared rule, else of the account."""
    whose = usage.c.domain_id == domain_id if rule.is_shared else usage.c.account_id == account_id
    return _counts(connection, whose, rule, now_second)


def _counts(connection: Connection, whose: ColumnElement[bool], rule: Rule, now_second: int) -> list[Count]:
    rows = connection.execute(
        select(usage.c.second, func.sum(usage.c.messages), func.sum(usage.c.recipients))
        .where(whose, usage.c.second >= oldest_counted(rule.per, now_second))
        .group_by(usage.c.second)
    )
    return [Count(second, int(messages), int(recipients)) for second, messages, recipients in rows]


@dataclass(frozen=True, slots=True)
class Left:
    """What rules leave to an account: how many recipients, by which rule, when that one frees (ISO 8601 or "")."""

    recipients: int
    rule: Rule | None
    frees_at: str


def left_for(connection: Connection, rules: Sequence[Rule], account_id: int, domain_id: int, now_second: int) -> Left:
    """What a new message of an account may still have in recipients."""
    counts = {rule: counts_for(connection, rule, account_id, domain_id, now_second) for rule in rules}
    least = allowance(counts.items(), now_second, new_message=True)
    frees = frees_at(least.rule, counts[least.rule], now_second) if least.rule else None
    return Left(least.recipients, least.rule, frees.isoformat().replace("+00:00", "Z") if frees else "")


def rule_usage(connection: Connection, rule: Rule, now_second: int) -> RuleUsage:
    """What stands against a rule now."""
    counts = _counts(connection, usage.c.account_id == _subject(connection, rule, now_second), rule, now_second)
    if rule.is_shared:
        ids = select(domain.c.id).where(domain.c.name == rule.scope)
        counts = _counts(connection, usage.c.domain_id == ids.scalar_subquery(), rule, now_second)
    messages, recipients = used(rule, counts, now_second)
    return RuleUsage(rule, messages, recipients, frees_at(rule, counts, now_second))


def _subject(connection: Connection, rule: Rule, now_second: int) -> int:
    """The account a rule speaks of: the one named, or the busiest of those it covers."""
    local, at, name = rule.scope.partition("@")
    if at and local != "each":
        found = connection.scalar(
            select(account.c.id).join(domain).where(domain.c.name == name, account.c.local_part == local)
        )
        return found or 0
    busiest = (
        select(usage.c.account_id)
        .where(usage.c.second >= oldest_counted(rule.per, now_second))
        .group_by(usage.c.account_id)
        .order_by(func.sum(usage.c.recipients).desc())
        .limit(1)
    )
    if at:
        busiest = busiest.where(usage.c.domain_id.in_(select(domain.c.id).where(domain.c.name == name)))
    return connection.scalar(busiest) or 0


def forget_usage(connection: Connection, now_second: int) -> None:
    """Drop the counts that no window reaches any more."""
    connection.execute(delete(usage).where(usage.c.second < oldest_counted(Per.DAY, now_second) - 3600))
