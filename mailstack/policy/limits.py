"""Sending limits: which rules apply to an account, what they still allow, and when they free.

Pure: usage comes in as sums and as counts by the second (store/usage), the moment as an argument. Windows slide. All
rules that apply must allow; `*` is a default and steps back where `each@domain` or the account itself has a rule for
the same window. A rule `per message` is no window but a bound of each message. Neighbours: `reception/allowances`
refuses early at RCPT, `store/submissions` judges in the commit, `store/held` releases what was held.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

UNLIMITED = 1 << 62
NEAR_PERCENT = 80
FULL_PERCENT = 100


class Per(StrEnum):
    """What a rule counts over, shortest first: one message, or a sliding window."""

    MESSAGE = "message"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """The length of the window; KeyError for a message, which is none."""
        return {"minute": 60, "hour": 3600, "day": 86400}[self.value]


class Over(StrEnum):
    """What happens past a limit: accepted and held, or refused for now."""

    HOLD = "hold"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Rule:
    """At most so many `messages`, `recipients` and `first_time` recipients (None = any number), for a scope.

    A first-time recipient is one that the account never wrote to before: many at once are the best sign of a stolen
    password. A rule per message has a cap on recipients only.
    """

    scope: str
    per: Per
    messages: int | None
    recipients: int | None
    over: Over
    first_time: int | None = None

    @property
    def is_shared(self) -> bool:
        """True when the accounts of a domain share the allowance; else each account has its own."""
        return self.scope != "*" and "@" not in self.scope

    def __str__(self) -> str:
        named = ((self.messages, "message"), (self.recipients, "recipient"), (self.first_time, "first-time recipient"))
        caps = [f"{cap} {noun}{'' if cap == 1 else 's'}" for cap, noun in named if cap is not None]
        return f"{' and '.join(caps)} per {self.per} for {'every account' if self.scope == '*' else self.scope}"


@dataclass(frozen=True, slots=True)
class Used:
    """What stands against a rule."""

    messages: int = 0
    recipients: int = 0
    first_time: int = 0

    def __add__(self, other: "Used") -> "Used":
        return Used(
            self.messages + other.messages, self.recipients + other.recipients, self.first_time + other.first_time
        )

    def __sub__(self, other: "Used") -> "Used":
        return self + Used(-other.messages, -other.recipients, -other.first_time)


@dataclass(frozen=True, slots=True)
class Count:
    """What was submitted in one second (since 1970, UTC)."""

    second: int
    used: Used


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a rule still allows to a message: recipients, and how many of them for the first time."""

    rule: Rule
    recipients: int
    first_time: int

    def allows(self, recipients: int, first_time: int) -> bool:
        """Whether so many may go together."""
        return recipients <= self.recipients and first_time <= self.first_time


def rules_for(rules: Iterable[Rule], account: str, domain: str) -> tuple[Rule, ...]:
    """The rules that apply to an account (its address in comparable form) of a domain."""
    scopes = {account, domain, f"each@{domain}"}
    own = [rule for rule in rules if rule.scope in scopes]
    covered = {rule.per for rule in own if not rule.is_shared}
    return (*own, *(rule for rule in rules if rule.scope == "*" and rule.per not in covered))


def window_rules(rules: Iterable[Rule], over: Over | None = None) -> list[Rule]:
    """The rules that count over a window, all or those that treat what is over them in one way."""
    return [rule for rule in rules if rule.per is not Per.MESSAGE and over in (None, rule.over)]


def message_cap(rules: Iterable[Rule]) -> Rule | None:
    """The rule that allows a message the fewest recipients; None when none bounds it."""
    caps = [rule for rule in rules if rule.per is Per.MESSAGE and rule.recipients is not None]
    return min(caps, key=lambda rule: rule.recipients or 0, default=None)


def oldest_counted(per: Per, now_second: int) -> int:
    """The first second that still counts; a second counts until the whole of it is a window old."""
    return now_second - per.seconds


def sum_used(counts: Iterable[Count]) -> Used:
    """What counts come to together."""
    return sum((count.used for count in counts), Used())


def used(rule: Rule, counts: Iterable[Count], now_second: int) -> Used:
    """What counts against a rule now."""
    first = oldest_counted(rule.per, now_second)
    return sum_used(count for count in counts if count.second >= first)


def allowance(rule: Rule, used: Used, *, new_message: bool) -> Allowance:
    """What a rule still allows.

    Args:
        rule: one with a window.
        used: what stands against it now.
        new_message: whether the recipients belong to a message that is not yet counted as one.
    """
    if new_message and rule.messages is not None and used.messages >= rule.messages:
        return Allowance(rule, 0, 0)
    return Allowance(rule, _left(rule.recipients, used.recipients), _left(rule.first_time, used.first_time))


def _left(cap: int | None, used: int) -> int:
    return UNLIMITED if cap is None else max(0, cap - used)


def how_many(allowances: Iterable[Allowance], firsts: Sequence[bool]) -> tuple[int, Rule | None]:
    """How many of a message's recipients may go, in their order, and the rule that stops the next one.

    Args:
        allowances: of each rule that applies.
        firsts: for each recipient, whether it is a first-time one.
    """
    most, tightest = len(firsts), None
    for each in allowances:
        going = min(each.recipients, _before_first_time(firsts, each.first_time))
        if going < most:
            most, tightest = going, each.rule
    return most, tightest


def _before_first_time(firsts: Sequence[bool], allowed: int) -> int:
    """How many recipients stand before the one that is a first-time recipient too many."""
    if allowed >= len(firsts):
        return len(firsts)
    for place, is_first in enumerate(firsts):
        if is_first:
            if not allowed:
                return place
            allowed -= 1
    return len(firsts)


def percent_used(rule: Rule, used: Used) -> int:
    """How much of a rule is used up, by the cap that is nearest; rounded down, so that 100 means all of it."""
    pairs = ((rule.messages, used.messages), (rule.recipients, used.recipients), (rule.first_time, used.first_time))
    return max((have * 100 // cap if cap else FULL_PERCENT for cap, have in pairs if cap is not None), default=0)


def begins_to_free(rule: Rule, counts: Iterable[Count], now_second: int) -> datetime | None:
    """When the oldest of what counts against a rule leaves its window; None when nothing counts."""
    first = oldest_counted(rule.per, now_second)
    oldest = min((count.second for count in counts if count.second >= first), default=None)
    return None if oldest is None else _leaves_at(rule, oldest)


def _leaves_at(rule: Rule, second: int) -> datetime:
    return datetime.fromtimestamp(second + rule.per.seconds + 1, UTC)


def frees_at(
    rule: Rule, counts: Sequence[Count], now_second: int, recipients: int = 1, first_time: int = 1
) -> datetime | None:
    """When the rule allows one more message to so many; None when it does so now, or when it never will."""
    now_used = used(rule, counts, now_second)

    def allows(what: Used) -> bool:
        return allowance(rule, what, new_message=True).allows(recipients, first_time)

    if allows(now_used):
        return None
    first = oldest_counted(rule.per, now_second)
    for count in sorted((c for c in counts if c.second >= first), key=lambda c: c.second):
        now_used -= count.used
        if allows(now_used):
            return _leaves_at(rule, count.second)
    return None
