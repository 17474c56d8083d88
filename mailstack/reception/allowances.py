"""The early look at the sending limits, at RCPT: a client over its limit hears so before it sends the content.

What it says may be a second old; the count inside the accepting commit (`store/acceptance`) is the truth.
"""

from datetime import UTC, datetime

from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.policy.limits import Over
from mailstack.store.acceptance import Submitter
from mailstack.store.database import Database, StoreTrouble
from mailstack.store.usage import Left, left_for

FRESH_SECONDS = 1.0
MAX_REMEMBERED = 10_000


class Allowances:
    """Remembers for a second what an account may still send, so that many recipients cost one look."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, tuple[float, Left]] = {}

    async def refuse(self, submitter: Submitter, recipients: int) -> Reply | None:
        """The refusal of a transaction with so many recipients, or None; limits that hold never refuse here."""
        rules = [rule for rule in submitter.rules if rule.over is Over.REFUSE]
        if not rules:
            return None
        now = datetime.now(UTC).timestamp()
        known = self._known.get(submitter.account_id)
        if known is None or not 0 <= now - known[0] < FRESH_SECONDS:
            who, where = submitter.account_id, submitter.domain_id
            try:
                left = await self._database.read(lambda connection: left_for(connection, rules, who, where, int(now)))
            except StoreTrouble:
                return reply(451, Status.SYSTEM_OTHER, "the sending limits cannot be read for now; try again later")
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            known = self._known[submitter.account_id] = (now, left)
        left = known[1]
        return over_limit(str(left.rule), left.frees_at) if recipients > left.recipients else None


def over_limit(rule: str, frees_at: str) -> Reply:
    """The refusal that names the limit and the moment at which it frees."""
    when = f"; it frees at {frees_at}" if frees_at else ""
    return reply(450, Status.NOT_AUTHORISED, f"over the sending limit of {rule}{when}")
