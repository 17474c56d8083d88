"""Judges submissions inside the accepting commit: this count is the truth, whatever was said at RCPT.

A `Judge` lives as long as one transaction and sees the letters of a group commit one after the other, as if each had
a commit of its own. Neighbours: `policy/limits` decides, `usage` and `known_recipients` count, `acceptance` writes
what was judged, `held` lets go later what is held here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from mailstack.policy.limits import (
    FULL_PERCENT,
    NEAR_PERCENT,
    Over,
    Per,
    Rule,
    Used,
    how_many,
    message_cap,
    percent_used,
    window_rules,
)
from mailstack.store import usage
from mailstack.store.known_recipients import KnownRecipients, recipient_key
from mailstack.store.schema import delivery


@dataclass(frozen=True, slots=True)
class Submitter:
    """The account behind a submission, with the limits that apply to it; `frozen_why` holds all it sends."""

    account_id: int
    domain_id: int
    address: str
    rules: tuple[Rule, ...]
    frozen_why: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings that a commit goes by (`[limits]` of the config)."""

    held_backlog: int = 10_000
    bulk_recipients: int = 50
    bulk_per_hour: int = 200


DEFAULT_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Near:
    """A rule that is nearly (`percent` 80) or wholly (100) used up by what the commit counted."""

    rule: Rule
    used: Used
    percent: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The message is in the commit. `held` are the recipients that wait, and `held_by` says for what."""

    held: tuple[str, ...] = ()
    held_by: str = ""
    is_bulk: bool = False
    first_time_lately: int = 0
    """First-time recipients of the account in the last hour, these among them."""
    near: tuple[Near, ...] = ()


@dataclass(frozen=True, slots=True)
class OverLimit:
    """Nothing was written: a limit refuses. None as `frees_at`: it never allows so many at once."""

    rule: Rule
    frees_at: datetime | None


@dataclass(frozen=True, slots=True)
class BacklogFull:
    """Nothing was written: the message would be held by `held_by`, and too much is held already."""

    held_by: str
    held_backlog: int


Verdict = Kept | OverLimit | BacklogFull


class Judge:
    """The limits as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ledger = usage.Ledger(connection)
        self._known = KnownRecipients(connection)
        self._held: dict[int, int] = {}

    def prepare(self, submissions: Iterable[tuple[Submitter, Sequence[str]]]) -> None:
        """Lock and look up once what is asked for one by one later."""
        recipients: dict[int, set[str]] = {}
        domain_ids: set[int] = set()
        for submitter, wanted in submissions:
            recipients.setdefault(submitter.account_id, set()).update(map(recipient_key, wanted))
            if submitter.rules or submitter.frozen_why is not None:
                domain_ids.add(submitter.domain_id)
        usage.lock_domains(self._connection, domain_ids)
        for account_id, keys in recipients.items():
            self._known.load(account_id, keys)

    def judge(self, who: Submitter, recipients: Sequence[str], at: int, terms: Terms) -> Verdict:
        """Whether a message may come in and who of its recipients is served now; what goes is counted.

        Args:
            who: the account.
            recipients: as they are addressed, at least one.
            at: microseconds since 1970.
            terms: the settings.
        """
        second = at // 1_000_000
        keys = [recipient_key(recipient) for recipient in recipients]
        firsts = self._known.firsts(who.account_id, keys)
        going, held_by = len(recipients), ""
        if who.frozen_why is not None:
            going, held_by = 0, f"frozen: {who.frozen_why}"
        elif refusal := self._refusal(who, firsts, second):
            return refusal
        elif holding := window_rules(who.rules, Over.HOLD):
            going, held_by = self._apply_holding(who, holding, firsts, second)
        held = tuple(recipients[going:])
        if held and not self._hold(who.account_id, len(held), terms.held_backlog):
            return BacklogFull(held_by, terms.held_backlog)
        self._known.add(who.account_id, keys[:going], at)
        if going:
            self._ledger.add(who.account_id, who.domain_id, second, Used(1, going, sum(firsts[:going])))
        lately = self._ledger.used_by(who.account_id, Per.HOUR, second)
        return Kept(
            held,
            held_by if held else "",
            is_bulk=len(recipients) > terms.bulk_recipients or lately.recipients > terms.bulk_per_hour,
            first_time_lately=lately.first_time,
            near=self._near(who, second),
        )

    def _refusal(self, who: Submitter, firsts: Sequence[bool], second: int) -> OverLimit | None:
        cap = message_cap(who.rules)
        if cap is not None and cap.recipients is not None and len(firsts) > cap.recipients:
            return OverLimit(cap, None)
        refusing = window_rules(who.rules, Over.REFUSE)
        allowances = self._ledger.allowances(refusing, who.account_id, who.domain_id, second, new_message=True)
        _, rule = how_many(allowances, firsts)
        if rule is None:
            return None
        wanted = Used(1, len(firsts), sum(firsts))
        return OverLimit(rule, self._ledger.frees_at(rule, who.account_id, who.domain_id, second, wanted))

    def _apply_holding(
        self, who: Submitter, holding: Sequence[Rule], firsts: Sequence[bool], second: int
    ) -> tuple[int, str]:
        """How many recipients go at once, and what holds the others."""
        allowances = self._ledger.allowances(holding, who.account_id, who.domain_id, second, new_message=True)
        going, rule = how_many(allowances, firsts)
        if self._held_by(who.account_id):
            going = 0  # oldest first: who came later waits behind what is held already
        rule = rule or min(allowances, key=lambda each: each.recipients).rule
        return going, f"limit: {rule}"

    def _hold(self, account_id: int, deliveries: int, most: int) -> bool:
        """Whether so many more may be held for an account."""
        held = self._held_by(account_id) + deliveries
        if held > most:
            return False
        self._held[account_id] = held
        return True

    def _held_by(self, account_id: int) -> int:
        if account_id not in self._held:
            found = select(func.count()).where(delivery.c.held_for == account_id)
            self._held[account_id] = self._connection.scalar(found) or 0
        return self._held[account_id]

    def _near(self, who: Submitter, second: int) -> tuple[Near, ...]:
        near = []
        for rule in window_rules(who.rules):
            used = self._ledger.used(rule, who.account_id, who.domain_id, second)
            percent = percent_used(rule, used)
            if percent >= NEAR_PERCENT:
                near.append(Near(rule, used, FULL_PERCENT if percent >= FULL_PERCENT else NEAR_PERCENT))
        return tuple(near)

    def write(self) -> None:
        """Write all counts; the last thing of the transaction's judging."""
        self._ledger.write()
        self._known.write()
