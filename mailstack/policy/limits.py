"""Sending limits: which rules apply to an account, what they still allow, and when they free.

Pure: usage comes in as counts by the second (store/usage), the moment as an argument. Windows slide. All rules that
apply must allow; `*` is a default and steps back where `each@domain` or the account itself has a rule for the same
window. Neighbours: `reception/submission` refuses early at RCPT, `store/acceptance` counts in the commit,
`store/usage` releases what was held.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

UNLIMITED = 1 << 62


class Per(StrEnum):
    """A window's length."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """The length in seconds."""
        return {"minute": 60, "hour": 3600, "day": 86400}[self.value]


class Over(StrEnum):
    """What happens past a limit: accepted and held, or refused for now."""

    HOLD = "hold"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `messages` and `recipients` (None = any number) in the sliding window, for a scope."""

    scope: str
    per: Per
    messages: int | None
    recipients: int | None
    over: Over

    @property
    def is_shared(self) -> bool:
        """True when the accounts of a domain share the allowance; else each account has its own."""
        return self.scope != "*" and "@" not in self.scope

    def __str__(self) -> str:
        caps = [f"{self.messages} messages"] if self.messages is not None else []
        caps += [f"{self.recipients} recipients"] if self.recipients is not None else []
        return f"{' and '.join(caps)} per {self.per} for {'every account' if self.scope == '*' else self.scope}"


@dataclass(frozen=True, slots=True)
class Count:
    """What was submitted in one second (since 1970, UTC)."""

    second: int
    messages: int
    recipients: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many recipients may still go, and the rule that allows least."""

    recipients: int
    rule: Rule | None = None


def rules_for(rules: Iterable[Rule], account: str, domain: str) -> tuple[Rule, ...]:
    """The rules that apply to an account (its address in comparable form) of a domain."""
    scopes = {account, domain, f"each@{domain}"}
    own = [rule for rule in rules if rule.scope in scopes]
    covered = {rule.per for rule in own if not rule.is_shared}
    return (*own, *(rule for rule in rules if rule.scope == "*" and rule.per not in covered))


def oldest_counted(per: Per, now_second: int) -> int:
    """The first second that still counts; a second counts until the whole of it is a window old."""
    return now_second - per.seconds


def used(rule: Rule, counts: Iterable[Count], now_second: int) -> tuple[int, int]:
    """Messages and recipients that count against a rule now."""
    first = oldest_counted(rule.per, now_second)
    messages = recipients = 0
    for count in counts:
        if count.second >= first:
            messages += count.messages
            recipients += count.recipients
    return messages, recipients


def allowance(
    rules_and_counts: Iterable[tuple[Rule, Sequence[Count]]], now_second: int, *, new_message: bool
) -> Allowance:
    """What all rules together still allow.

    Args:
        rules_and_counts: each rule that applies with the counts of its scope.
        now_second: seconds since 1970, UTC.
        new_message: whether the recipients belong to a message that is not yet counted as one.
    """
    least = Allowance(UNLIMITED)
    for rule, counts in rules_and_counts:
        messages, recipients = used(rule, counts, now_second)
        left = UNLIMITED if rule.recipients is None else max(0, rule.recipients - recipients)
        if new_message and rule.messages is not None and messages >= rule.messages:
            left = 0
        if left < least.recipients:
            least = Allowance(left, rule)
    return least


def frees_at(rule: Rule, counts: Sequence[Count], now_second: int) -> datetime | None:
    """When the rule allows one more recipient; None when it does so now, or when it never will (a cap of 0)."""
    messages, recipients = used(rule, counts, now_second)
    first = oldest_counted(rule.per, now_second)

    def allows() -> bool:
        enough_messages = rule.messages is None or messages < rule.messages
        return enough_messages and (rule.recipients is None or recipients < rule.recipients)

    if allows():
        return None
    for count in sorted((c for c in counts if c.second >= first), key=lambda c: c.second):
        messages -= count.messages
        recipients -= count.recipients
        if allows():
            return datetime.fromtimestamp(count.second + rule.per.seconds + 1, UTC)
    return None
