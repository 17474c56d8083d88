"""The early look at the sending limits, at RCPT: a client over its limit hears so before it sends the content.

What it says may be a second old; the count inside the accepting commit (`store/submissions`) is the truth. The words
of all refusals by limits are here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mailstack.mail.envelope import Recipient
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.policy.limits import Allowance, Over, Per, Rule, Used, message_cap, window_rules
from mailstack.store.database import Connection, Database, StoreTrouble
from mailstack.store.known_recipients import is_first, known_among
from mailstack.store.submissions import BacklogFull, OverLimit, Submitter
from mailstack.store.usage import Ledger

FRESH_SECONDS = 1.0
MAX_REMEMBERED = 10_000
UNREADABLE = reply(451, Status.SYSTEM_OTHER, "the sending limits cannot be read for now; try again later")


@dataclass(slots=True)
class _Look:
    """What was read about an account, and when."""

    at: float
    allowances: list[Allowance]
    asked: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)


class Allowances:
    """Remembers for a second what an account may still send, so that many recipients cost one look."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looks: dict[int, _Look] = {}

    async def refuse(self, who: Submitter, accepted: Sequence[Recipient], recipient: Recipient) -> Reply | None:
        """The refusal of one recipient more in a transaction, or None; limits that hold never refuse here."""
        recipients = len(accepted) + 1
        cap = message_cap(who.rules)
        if cap is not None and cap.recipients is not None and recipients > cap.recipients:
            return over_limit(OverLimit(cap, None))
        rules = window_rules(who.rules, Over.REFUSE)
        if not rules or who.frozen_why is not None:
            return None
        try:
            look = await self._look(who, rules)
            first_time = await self._first_time(who, look, [*accepted, recipient])
            stops = next((x.rule for x in look.allowances if not x.allows(recipients, first_time)), None)
            if stops is None:
                return None
            return over_limit(await self._over(who, stops, Used(1, recipients, first_time)))
        except StoreTrouble:
            return UNREADABLE

    async def _look(self, who: Submitter, rules: Sequence[Rule]) -> _Look:
        now = datetime.now(UTC).timestamp()
        look = self._looks.get(who.account_id)
        if look is not None and 0 <= now - look.at < FRESH_SECONDS:
            return look

        def read(connection: Connection) -> list[Allowance]:
            ledger = Ledger(connection)
            return ledger.allowances(rules, who.account_id, who.domain_id, int(now), new_message=True)

        look = _Look(now, await self._database.read(read))
        if len(self._looks) >= MAX_REMEMBERED:
            self._looks.clear()
        self._looks[who.account_id] = look
        return look

    async def _first_time(self, who: Submitter, look: _Look, recipients: Sequence[Recipient]) -> int:
        """How many of the recipients are first-time ones; 0 without a look where even all would be allowed."""
        if all(len(recipients) <= each.first_time for each in look.allowances):
            return 0
        keys = [recipient.address.key for recipient in recipients]
        new = set(keys) - look.asked
        if new:
            account_id = who.account_id
            look.known |= await self._database.read(lambda connection: known_among(connection, account_id, new))
            look.asked |= new
        return sum(is_first(keys, look.known))

    async def _over(self, who: Submitter, rule: Rule, wanted: Used) -> OverLimit:
        second = int(datetime.now(UTC).timestamp())

        def read(connection: Connection) -> datetime | None:
            return Ledger(connection).frees_at(rule, who.account_id, who.domain_id, second, wanted)

        return OverLimit(rule, await self._database.read(read))


def over_limit(verdict: OverLimit) -> Reply:
    """The refusal that names the limit and the moment at which it frees."""
    rule, frees_at = verdict.rule, verdict.frees_at
    if rule.per is Per.MESSAGE:
        mend = "send the rest in another transaction"
        return reply(452, Status.TOO_MANY_RECIPIENTS, f"over the limit of {rule}; {mend}")
    if frees_at is None:
        return reply(450, Status.NOT_AUTHORISED, f"over the sending limit of {rule}; send to fewer at a time")
    when = frees_at.isoformat().replace("+00:00", "Z")
    return reply(450, Status.NOT_AUTHORISED, f"over the sending limit of {rule}; it frees at {when}")


def backlog_full(verdict: BacklogFull) -> Reply:
    """The refusal of what would be held, where too much is held already."""
    why = f"{verdict.held_backlog} recipients of yours are held already ({verdict.held_by}), which is the most"
    return reply(452, Status.SYSTEM_FULL, f"{why}; try again later, or ask your administrator")
