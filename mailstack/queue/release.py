"""Lets held mail go as its limits allow: accounts take turns, each second some.

Neighbours: `store/held` finds and releases, `runner` calls and then looks for what is due.
"""

from collections.abc import Callable
from datetime import datetime

from mailstack import maillog
from mailstack.policy.limits import Rule
from mailstack.store.database import Database
from mailstack.store.directory import DirectoryKeeper
from mailstack.store.held import WHY_RELEASED, Released, find_releasable, release_held
from mailstack.store.schema import micros


class HeldRelease:
    """One for the host.

    Args:
        database: where it is held.
        keeper: the directory, which knows the limits.
        now: the time, aware, UTC.
    """

    def __init__(self, database: Database, keeper: DirectoryKeeper, now: Callable[[], datetime]) -> None:
        self._database = database
        self._keeper = keeper
        self._now = now
        self._after = 0

    async def take_turn(self) -> list[Released]:
        """Release what the limits of the next accounts allow. StoreTrouble when the store does not work for now."""
        now = micros(self._now())
        turn = await self._database.read(lambda c: find_releasable(c, self._rules_of, now, self._after))
        self._after = turn.after
        if not turn.holders:
            return []
        released = await self._database.write(lambda c: release_held(c, turn.holders, self._rules_of, now))
        for one in released:
            maillog.released(one.queue_id, one.recipient, WHY_RELEASED)
        return released

    def _rules_of(self, account_id: int) -> tuple[Rule, ...]:
        directory = self._keeper.current
        account = directory.account_by_id(account_id)
        return directory.rules_of(account) if account else ()
