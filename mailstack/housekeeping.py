"""What the clock asks for: swept each day, counted each minute, leases kept alive.

A chore that fails for now is told in the log and comes again at its time. Neighbours: `app.py` says what is done how
often; the chores themselves are the store's.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from mailstack import maillog
from mailstack.policy.vacation import AGAIN_AFTER
from mailstack.store.absences import forget_answers
from mailstack.store.content import ContentStore
from mailstack.store.database import Connection, Database, StoreTrouble
from mailstack.store.habits import forget_networks
from mailstack.store.mailboxes import Mailboxes
from mailstack.store.schema import micros
from mailstack.store.usage import forget_usage

Chore = Callable[[], Coroutine[Any, Any, None]]


class Housekeeping:
    """Chores, each at its own interval, until `stop`."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._running: list[LoopingCall] = []

    def each(self, interval: timedelta, chore: Chore) -> None:
        """Do a chore now and again after each interval."""

        async def run() -> None:
            try:
                await chore()
            except (StoreTrouble, OSError) as error:
                maillog.trouble("housekeeping", error)

        call = LoopingCall(lambda: Deferred.fromCoroutine(run()))
        call.clock = self._clock
        call.start(interval.total_seconds()).addErrback(lambda failure: maillog.bug("housekeeping", failure))
        self._running.append(call)

    def stop(self) -> None:
        """Begin no chore any more."""
        for call in self._running:
            if call.running:
                call.stop()


async def sweep(
    database: Database, contents: ContentStore, mailboxes: Mailboxes, expire_days: int | None, now: datetime
) -> None:
    """The day's chore: files no row names, mail past its EXPIRE, counts no window reaches, answers and networks of old.

    Args:
        database: open.
        contents: the store of content files.
        mailboxes: whose mail expires.
        expire_days: how long mail is kept where its domain says nothing; None = for ever.
        now: aware, UTC.
    """
    await contents.sweep_orphans(database)
    await mailboxes.expire(now, expire_days)

    def forget(connection: Connection) -> None:
        forget_usage(connection, int(now.timestamp()))
        forget_answers(connection, micros(now - AGAIN_AFTER))
        forget_networks(connection, micros(now))

    await database.write(forget)
