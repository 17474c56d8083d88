"""What stands against sending limits, for people to see: of one rule, of one account, of those who send most.

Reads only, each bounded by the rows of its window. Neighbours: `usage` counts, `management/limits` shows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, func, select

from mailstack.policy.limits import Per, Rule, Used, frees_at, oldest_counted, percent_used, used
from mailstack.store.schema import account, domain, usage
from mailstack.store.usage import counts_for


@dataclass(frozen=True, slots=True)
class RuleUsage:
    """A rule with what stands against it: the accounts' together, or one account's where each has its own.

    `account` is the address of that account, the busiest where nobody was named; empty for a shared rule and where
    nobody has sent.
    """

    rule: Rule
    used: Used
    frees_at: datetime | None
    account: str = ""

    @property
    def used_messages(self) -> int:
        """Messages that count now."""
        return self.used.messages

    @property
    def used_recipients(self) -> int:
        """Recipients that count now."""
        return self.used.recipients

    @property
    def used_first_time(self) -> int:
        """First-time recipients that count now."""
        return self.used.first_time

    @property
    def percent(self) -> int:
        """How much is used up, by the nearest cap; over 100 when a cap was lowered since."""
        return 0 if self.rule.per is Per.MESSAGE else percent_used(self.rule, self.used)


@dataclass(frozen=True, slots=True)
class Sender:
    """An account that sent of late, with what it sent."""

    account_id: int
    domain_id: int
    address: str
    used: Used


def rule_usage(connection: Connection, rule: Rule, second: int) -> RuleUsage:
    """What stands against a rule now."""
    if rule.per is Per.MESSAGE:
        return RuleUsage(rule, Used(), None)
    local, at, name = rule.scope.partition("@")
    if rule.is_shared:
        domain_id = connection.scalar(select(domain.c.id).where(domain.c.name == rule.scope))
        return account_usage(connection, rule, 0, domain_id or 0, "", second)
    if at and local != "each":
        found = connection.execute(_who().where(domain.c.name == name, account.c.local_part == local)).first()
        return account_usage(connection, rule, found.id if found else 0, 0, rule.scope, second)
    busiest = top_senders(connection, rule.per, second, domains=[name] if at else None, most=1)
    if not busiest:
        return RuleUsage(rule, Used(), None)
    return account_usage(connection, rule, busiest[0].account_id, 0, busiest[0].address, second)


def account_usage(
    connection: Connection, rule: Rule, account_id: int, domain_id: int, address: str, second: int
) -> RuleUsage:
    """What stands against a rule for an account: its own use, or its domain's where the rule is shared."""
    if rule.per is Per.MESSAGE:
        return RuleUsage(rule, Used(), None, address)
    counts = counts_for(connection, rule, account_id, domain_id, second)
    who = "" if rule.is_shared else address
    return RuleUsage(rule, used(rule, counts, second), frees_at(rule, counts, second), who)


def top_senders(
    connection: Connection, per: Per, second: int, *, domains: Iterable[str] | None = None, most: int = 10
) -> list[Sender]:
    """The accounts with the most recipients in the last window of that length, of all domains or of some."""
    messages, recipients = func.sum(usage.c.messages), func.sum(usage.c.recipients)
    query = (
        select(usage.c.account_id, messages, recipients, func.sum(usage.c.first_time))
        .where(usage.c.second >= oldest_counted(per, second))
        .group_by(usage.c.account_id)
        .order_by(recipients.desc(), usage.c.account_id)
        .limit(most)
    )
    if domains is not None:
        ids = connection.scalars(select(domain.c.id).where(domain.c.name.in_(list(domains)))).all()
        query = query.where(usage.c.domain_id.in_(ids))
    rows = connection.execute(query).all()
    who = connection.execute(_who().where(account.c.id.in_([row.account_id for row in rows])))
    names = {number: (domain_id, f"{local}@{name}") for number, domain_id, local, name in who}
    return [
        Sender(number, *names[number], Used(*map(int, sums)))
        for number, *sums in rows
        if number in names  # a count outlives its account
    ]


def _who() -> Select[int, int, str, str]:
    return select(account.c.id, account.c.domain_id, account.c.local_part, domain.c.name).join_from(account, domain)
