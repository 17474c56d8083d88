"""The early look at the sending limits, at RCPT: a client over its limit hears so before it sends the content.

What it says may be a second old; the count inside the accepting commit (`store/acceptance`) is the truth.
"""

from datetime import UTC, datetime

from sqlalchemy import Connection

from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.policy.limits import Allowance, Over, allowance, frees_at
from mailstack.store.acceptance import Submitter
from mailstack.store.database import Database, StoreTrouble
from mailstack.store.usage import counts_for

FRESH_SECONDS = 1.0
MAX_REMEMBERED = 10_000


class Allowances:
    """Remembers for a second what an account may still send, so that many recipients cost one look."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, tuple[float, Allowance, str]] = {}

    async def refuse(self, submitter: Submitter, recipients: int) -> Reply | None:
        """The refusal of a transaction with so many recipients, or None; limits that hold never refuse here."""
        if not any(rule.over is Over.REFUSE for rule in submitter.rules):
            return None
        now = datetime.now(UTC).timestamp()
        known = self._known.get(submitter.account_id)
        if known is None or not 0 <= now - known[0] < FRESH_SECONDS:
            try:
                least, frees = await self._database.read(lambda connection: _look(connection, submitter, int(now)))
            except StoreTrouble:
                return reply(
                    451, Status.SYSTEM_OTHER, "the sending limits cannot be looked up for now; try again later"
                )
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            known = self._known[submitter.account_id] = (now, least, frees)
        _, least, frees = known
        if recipients <= least.recipients:
            return None
        when = f"; it frees at {frees}" if frees else ""
        return reply(450, Status.NOT_AUTHORISED, f"over the sending limit of {least.rule}{when}")


def _look(connection: Connection, submitter: Submitter, now_second: int) -> tuple[Allowance, str]:
    counts = [
        (rule, counts_for(connection, rule, submitter.account_id, submitter.domain_id, now_second))
        for rule in submitter.rules
        if rule.over is Over.REFUSE
    ]
    least = allowance(counts, now_second, new_message=True)
    frees = frees_at(least.rule, dict(counts)[least.rule], now_second) if least.rule else None
    return least, frees.isoformat().replace("+00:00", "Z") if frees else ""
