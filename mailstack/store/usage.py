"""What accounts have submitted, by the second, kept for all submissions so that a new rule counts at once.

A `Ledger` is the truth inside one transaction (`store/submissions`, `store/held`); with PostgreSQL the rows of the
domains concerned are locked, so that parallel sessions and nodes never pass a cap. Neighbours: `policy/limits`
decides, purely; `store/rule_usage` tells people.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, select

from mailstack.policy.limits import Allowance, Count, Per, Rule, Used, allowance, oldest_counted
from mailstack.policy.limits import frees_at as rule_frees_at
from mailstack.store.rows import insert_rows
from mailstack.store.schema import domain, usage

_ADD = (
    "ON CONFLICT (account_id, second) DO UPDATE SET messages = usage.messages + excluded.messages,"
    " recipients = usage.recipients + excluded.recipients, first_time = usage.first_time + excluded.first_time"
)
_SUMS = (func.sum(usage.c.messages), func.sum(usage.c.recipients), func.sum(usage.c.first_time))
_SUM_OF_ACCOUNT = "account"
_SUM_OF_DOMAIN = "domain"


def lock_domains(connection: Connection, domain_ids: Iterable[int]) -> None:
    """Let one writer at a time judge the limits of these domains (a no-op on SQLite, which has one writer anyway)."""
    ids = sorted(set(domain_ids))
    if ids and connection.dialect.name != "sqlite":
        connection.execute(select(domain.c.id).where(domain.c.id.in_(ids)).order_by(domain.c.id).with_for_update())


class Ledger:
    """The counts as one transaction sees them: each sum is read once and added to here, and all is written at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sums: dict[tuple[str, int], dict[int, Used]] = {}
        self._added: dict[tuple[int, int], tuple[int, Used]] = {}

    def used(self, rule: Rule, account_id: int, domain_id: int, second: int) -> Used:
        """What stands against a rule: the domain's for a shared one, else the account's."""
        whose = (_SUM_OF_DOMAIN, domain_id) if rule.is_shared else (_SUM_OF_ACCOUNT, account_id)
        return self._sum(whose, oldest_counted(rule.per, second))

    def used_by(self, account_id: int, per: Per, second: int) -> Used:
        """What an account has submitted in the last window of that length."""
        return self._sum((_SUM_OF_ACCOUNT, account_id), oldest_counted(per, second))

    def _sum(self, whose: tuple[str, int], first: int) -> Used:
        sums = self._sums.setdefault(whose, {})
        if first not in sums:
            sums[first] = self._unwritten(whose, first) + _sum(self._connection, _is_of(whose), first)
        return sums[first]

    def _unwritten(self, whose: tuple[str, int], first: int) -> Used:
        found = Used()
        for (account_id, second), (domain_id, added) in self._added.items():
            if second >= first and whose in ((_SUM_OF_ACCOUNT, account_id), (_SUM_OF_DOMAIN, domain_id)):
                found += added
        return found

    def allowances(
        self, rules: Iterable[Rule], account_id: int, domain_id: int, second: int, *, new_message: bool
    ) -> list[Allowance]:
        """What rules with a window allow to a message of an account."""
        return [
            allowance(rule, self.used(rule, account_id, domain_id, second), new_message=new_message) for rule in rules
        ]

    def add(self, account_id: int, domain_id: int, second: int, used: Used) -> None:
        """Count a submission."""
        for whose in ((_SUM_OF_ACCOUNT, account_id), (_SUM_OF_DOMAIN, domain_id)):
            sums = self._sums.get(whose, {})
            for first in sums:
                if second >= first:
                    sums[first] += used
        _, before = self._added.get((account_id, second), (domain_id, Used()))
        self._added[account_id, second] = domain_id, before + used

    def write(self) -> None:
        """Write what was added; by account, so that two transactions meet in one order."""
        if self._added:
            add_usage(self._connection, [_row(*key, *self._added[key]) for key in sorted(self._added)])
            self._added.clear()

    def frees_at(self, rule: Rule, account_id: int, domain_id: int, second: int, wanted: Used) -> datetime | None:
        """When a rule allows a message to as many recipients, and first-time recipients, as are wanted."""
        self.write()
        counts = counts_for(self._connection, rule, account_id, domain_id, second)
        return rule_frees_at(rule, counts, second, wanted.recipients, wanted.first_time)


def _row(account_id: int, second: int, domain_id: int, used: Used) -> dict[str, int]:
    messages, recipients, first_time = astuple(used)
    return {
        "account_id": account_id,
        "second": second,
        "domain_id": domain_id,
        "messages": messages,
        "recipients": recipients,
        "first_time": first_time,
    }


def add_usage(connection: Connection, rows: Sequence[dict[str, int]]) -> None:
    """Count submissions; a row (one for an account and second) has all columns of `usage`."""
    insert_rows(connection, usage, rows, on_conflict=_ADD)


def counts_for(connection: Connection, rule: Rule, account_id: int, domain_id: int, second: int) -> list[Count]:
    """The counts of the rule's window: of the whole domain for a shared rule, else of the account."""
    whose = (_SUM_OF_DOMAIN, domain_id) if rule.is_shared else (_SUM_OF_ACCOUNT, account_id)
    rows = connection.execute(
        select(usage.c.second, *_SUMS)
        .where(_is_of(whose), usage.c.second >= oldest_counted(rule.per, second))
        .group_by(usage.c.second)
    )
    return [Count(at, Used(int(messages), int(recipients), int(first))) for at, messages, recipients, first in rows]


def _is_of(whose: tuple[str, int]) -> ColumnElement[bool]:
    kind, number = whose
    return usage.c.domain_id == number if kind == _SUM_OF_DOMAIN else usage.c.account_id == number


def _sum(connection: Connection, whose: ColumnElement[bool], first: int) -> Used:
    row = connection.execute(select(*_SUMS).where(whose, usage.c.second >= first)).one()
    return Used(*(int(number or 0) for number in row))


def forget_usage(connection: Connection, now_second: int) -> None:
    """Drop the counts that no window reaches any more."""
    connection.execute(delete(usage).where(usage.c.second < oldest_counted(Per.DAY, now_second) - 3600))
