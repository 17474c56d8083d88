"""Watches what accounts send and where their owners log in from: tells of limits, freezes what bursts.

Called after a commit or a log-in and never waited for. Neighbours: `policy/habit` judges, `store/habits` has the
facts, `management/freezing` freezes, `notices` tells.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstack import maillog
from mailstack.config import Limits
from mailstack.mail.address import Address
from mailstack.management import freezing
from mailstack.management.actor import Actor, Refused
from mailstack.policy.habit import BurstRule, Lately, login_network
from mailstack.reception.notices import Notices
from mailstack.store import habits
from mailstack.store.claims import read_address
from mailstack.store.database import Connection, Database, StoreTrouble
from mailstack.store.directory import Account, DirectoryKeeper
from mailstack.store.schema import micros
from mailstack.store.submissions import Kept, Submitter

THE_HOST = Actor("mailstack", "the host itself", all_domains=True)
LOOK_SECONDS = 2.0
"""An account that sends much is looked at no oftener."""
MAX_REMEMBERED = 50_000


class SendingWatch:
    """One for the host.

    Args:
        database: where habits and freezes stand.
        keeper: the directory, which is told of a freeze at once.
        notices: tells people.
        limits: the settings.
        now: the time, aware, UTC.
    """

    def __init__(
        self,
        database: Database,
        keeper: DirectoryKeeper,
        notices: Notices,
        limits: Limits,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._keeper = keeper
        self._notices = notices
        self.take_settings(limits)
        self._now = now
        self._looked: dict[int, float] = {}
        self._seen: dict[tuple[int, str], float] = {}
        self._tasks: set[Deferred[None]] = set()

    def take_settings(self, limits: Limits) -> None:
        """Other bounds of what a burst is, from now on."""
        self._first_time = BurstRule(limits.freeze_first_time, limits.freeze_factor)
        self._networks = BurstRule(limits.freeze_networks, limits.freeze_factor)
        self._is_freezing = limits.freeze

    def submitted(self, who: Submitter, kept: Kept) -> None:
        """A submission is in the commit."""
        for near in self._notices.untold(who, kept.near) if kept.near else ():
            self._spawn(self._notices.tell_near(who, near))
        if self._is_freezing and who.frozen_why is None and kept.first_time_lately > self._first_time.floor:
            now = self._now().timestamp()
            if self._looked.get(who.account_id, 0.0) <= now - LOOK_SECONDS:
                _remember(self._looked, who.account_id, now)
                self._spawn(self._judge_recipients(read_address(who.address), who.account_id))

    def logged_in(self, account: Account, client_address: str) -> None:
        """An account's owner, or somebody with the password, has logged in."""
        now, network = self._now().timestamp(), login_network(client_address)
        key = account.id, network
        if self._seen.get(key, 0.0) <= now - habits.SEEN_EACH / 1_000_000:
            _remember(self._seen, key, now)
            self._spawn(self._judge_login(account, network))

    async def _judge_recipients(self, address: Address, account_id: int) -> None:
        now = micros(self._now())

        def work(connection: Connection) -> str:
            lately = habits.first_time_lately(connection, account_id, now)
            why = _words(lately, "recipients that it never wrote to before")
            return _freeze(connection, address, why) if self._first_time.is_burst(lately) else ""

        await self._tell(address, await self._database.write(work))

    async def _judge_login(self, account: Account, network: str) -> None:
        now = micros(self._now())

        def work(connection: Connection) -> str:
            lately = habits.note_login(connection, account.id, network, now)
            if lately is None or not self._is_freezing or not self._networks.is_burst(lately):
                return ""
            return _freeze(connection, account.address, _words(lately, "networks that it never logged in from before"))

        await self._tell(account.address, await self._database.write(work))

    async def _tell(self, address: Address, why: str) -> None:
        if why:
            maillog.frozen(str(address), why)
            await self._keeper.refresh()
            await self._notices.tell_frozen(address, why)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = Deferred.fromCoroutine(coroutine)
        self._tasks.add(task)
        task.addErrback(_note_trouble)
        task.addBoth(partial(self._forget, task))

    def _forget(self, task: Deferred[None], _result: object) -> None:
        self._tasks.discard(task)

    async def stop(self) -> None:
        """Let what was begun come to its end."""
        for task in list(self._tasks):
            await task


def _freeze(connection: Connection, address: Address, why: str) -> str:
    """Freeze an account; the reason, or nothing when it is frozen already or gone."""
    try:
        freezing.freeze(connection, THE_HOST, str(address), why)
    except Refused:
        return ""
    return why


def _words(lately: Lately, what: str) -> str:
    return f"{lately.new} {what} within an hour, {lately.busiest_day} on its busiest day of the last two weeks"


def _remember(memory: dict[Any, float], key: object, now: float) -> None:
    if len(memory) >= MAX_REMEMBERED:
        memory.clear()
    memory[key] = now


def _note_trouble(failure: Failure) -> None:
    if isinstance(failure.value, StoreTrouble):
        maillog.trouble("store", failure.value)
    else:
        maillog.bug("watch", failure)
