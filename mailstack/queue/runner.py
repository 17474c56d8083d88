"""The queue at work: finds what is due, claims it, keeps several destinations going, each at its own pace.

A walk over the domains with due mail runs when mail came in (`wake`) and each second, for retries that fall due and for
what administrators changed. Claims follow it in batches, attempts follow the claims; both are bounded in number, and
what is preloaded in octets. Neighbours: `store/spool` gives and takes, `destinations` keeps count, `attempt` does each
try.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.defer import Deferred as Promise
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure

from mailstack import maillog
from mailstack.mail.outcome import Deferred
from mailstack.management.queue import DestinationState
from mailstack.policy.retry import RetryPolicy
from mailstack.queue.attempt import Attempts, Tried
from mailstack.queue.destinations import Destinations
from mailstack.queue.lanes import Destination, Work
from mailstack.queue.routes import Routes
from mailstack.store.claims import Terms, Unit
from mailstack.store.content import StoredContent
from mailstack.store.database import StoreTrouble
from mailstack.store.schema import from_micros, micros
from mailstack.store.spool import Spool

TICK_SECONDS = 1.0
WALK_PAUSE_SECONDS = 0.03
"""Between two walks: mail that comes in by the thousand wakes us by the thousand."""
CLAIMED_MOST = 2000
"""Deliveries claimed and not yet written down: the bound of the queue's memory, whatever waits in the spool."""
PRELOADED_OCTETS = 32 * 1024 * 1024
"""Content held ready for attempts; what goes beyond is read when its turn comes."""
LEASE = timedelta(minutes=5)
RENEW_SECONDS = 60
HOUSEKEEPING_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Bounds:
    """The settings that bound the queue."""

    connections_per_destination: int
    connections: int
    keep_history: timedelta


class QueueRunner:
    """The queue of one node.

    Args:
        spool: the store's side.
        attempts: does each try.
        routes: where domains go.
        policy: when to try again.
        bounds: how much at once.
        clock: IReactorTime.
        now: the time, aware, UTC.
        chance: random numbers in 0..1.
        release_held: lets go what sending limits held, as far as they allow; called about each second.
    """

    def __init__(
        self,
        spool: Spool,
        attempts: Attempts,
        routes: Routes,
        policy: RetryPolicy,
        bounds: Bounds,
        *,
        clock: IReactorTime,
        now: Callable[[], datetime],
        chance: Callable[[], float],
        release_held: Callable[[], Awaitable[object]],
    ) -> None:
        self._spool = spool
        self._attempts = attempts
        self._routes = routes
        self._policy = policy
        self._bounds = bounds
        self._clock = clock
        self._now = now
        self._chance = chance
        self._release_held = release_held
        self._destinations = Destinations(bounds.connections_per_destination, bounds.connections)
        self._claimed: dict[int, bool] = {}  # by delivery, whether it is bulk
        self._preloaded = 0
        self._started_at = 0
        self._is_running = False
        self._is_walking = False
        self._is_claiming = False
        self._walk_again = False
        self._next_walk: IDelayedCall | None = None
        self._ticks = 0
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = clock
        self._tasks: set[Promise[None]] = set()
        self._drained: Promise[None] | None = None
        self._is_looking_after = False

    def take_settings(self, policy: RetryPolicy, keep_history: timedelta) -> None:
        """Another schedule for the attempts that come, another time to keep timelines."""
        self._policy = policy
        self._attempts.take_policy(policy)
        self._bounds = replace(self._bounds, keep_history=keep_history)

    # --- life ---

    async def start(self) -> None:
        """Take over what a predecessor left, then begin. Retries that came due meanwhile are spread over a minute."""
        await self._spool.void_leases()
        self._started_at = micros(self._now())
        self._is_running = True
        self._ticker.start(TICK_SECONDS, now=True)

    async def stop(self, grace: timedelta = timedelta(seconds=30)) -> None:
        """Begin nothing more, give back what was not begun, wait a while for the rest: its next attempt is written."""
        self._is_running = False
        if self._ticker.running:
            self._ticker.stop()
        if self._next_walk is not None:
            self._next_walk.cancel()
            self._next_walk = None
        try:
            await self._give_back(self._destinations.take_all())
        except StoreTrouble as error:
            maillog.trouble("store", error)
        if self._tasks and grace > timedelta(0):
            self._drained = Promise()
            self._drained.addTimeout(grace.total_seconds(), self._clock, onTimeoutCancel=lambda *_: None)
            await self._drained
        for task in list(self._tasks):
            task.cancel()

    def wake(self) -> None:
        """There is new mail: look at once."""
        if self._is_walking or self._next_walk is not None:
            self._walk_again = True
        elif self._is_running:
            self._spawn(self._walk())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is claimed, walked or under way."""
        return not self._tasks and not self._claimed

    def destination_state(self, domain: str) -> DestinationState | None:
        """How mail to a domain is dealt with now; may be asked from any thread, for it only looks."""
        return self._destinations.state(self._routes.route(domain).key, self._clock.seconds())

    # --- finding and claiming ---

    def _tick(self) -> None:
        self._ticks += 1
        try:
            self._destinations.refresh(self._clock.seconds())
            self._start()
            self.wake()
            self._look_after()
        except Exception:  # a bug of ours must not end the ticking, and mail with it
            maillog.bug("queue", Failure())  # type: ignore[no-untyped-call]

    async def _walk(self) -> None:
        """All domains with due mail, step by step, claims going on meanwhile."""
        self._is_walking, self._walk_again = True, False
        began = self._clock.seconds()
        try:
            after: str | None = None
            while self._is_running:
                found, after = await self._spool.due_domains(micros(self._now()), after)
                for due in found:
                    self._destinations.note_due(self._routes.route(due.domain), due, self._clock.seconds())
                self._claim_soon()
                if after is None:
                    break
        except StoreTrouble as error:
            maillog.trouble("store", error)
        finally:
            self._is_walking = False
            if self._is_running:
                # A walk over very many domains leaves the reading threads more time than it takes.
                pause = min(max(WALK_PAUSE_SECONDS, 2 * (self._clock.seconds() - began)), TICK_SECONDS)
                self._next_walk = self._clock.callLater(pause, self._after_pause)

    def _after_pause(self) -> None:
        self._next_walk = None
        if self._walk_again:
            self.wake()

    def _claim_soon(self) -> None:
        if not self._is_claiming and self._is_running and self._destinations.has_claimable:
            self._is_claiming = True
            self._spawn(self._claim())

    async def _claim(self) -> None:
        """Claim as long as there is room and something to claim."""
        try:
            while self._is_running:
                bulk = sum(self._claimed.values())
                wants = self._destinations.wants(self._clock.seconds(), len(self._claimed), bulk, CLAIMED_MOST)
                if not wants:
                    return
                notes = self._destinations.notes
                claimed = await self._spool.claim(wants, self._terms())
                for unit in claimed.units:
                    self._claimed.update(dict.fromkeys((due.delivery_id for due in unit.recipients), unit.is_bulk))
                for want in wants:
                    if want.due in claimed.exhausted:
                        self._destinations.note_exhausted(want.key, want.due, notes)
                if not self._is_running:
                    await self._give_back(claimed.units)
                    return
                await self._take_in(claimed.units)
        except StoreTrouble as error:
            maillog.trouble("store", error)
        finally:
            self._is_claiming = False

    def _terms(self) -> Terms:
        now = self._now()
        policy, chance = self._policy, self._chance

        def retry_at(attempts: int, created_at: int) -> int:
            return micros(policy.next_attempt(now, from_micros(created_at), attempts, None, chance()))

        return Terms(
            now=micros(now),
            leased_until=micros(now + LEASE),
            started=self._started_at,
            retry_at=retry_at,
            key_of=lambda domain: self._routes.route(domain).key,
        )

    async def _take_in(self, units: Sequence[Unit]) -> None:
        """Load small contents and put the units into their lanes."""
        wanted: list[Unit] = []
        for unit in units:
            if self._preloaded + unit.size_octets <= PRELOADED_OCTETS:
                wanted.append(unit)
                self._preloaded += unit.size_octets
        try:
            contents = await self._spool.contents(wanted) if wanted else {}
        except StoreTrouble as error:
            contents = {}
            maillog.trouble("store", error)
        loaded = set(map(id, wanted))
        touched: dict[str, Destination] = {}
        for unit in units:
            kept = contents.get(unit.content_id) if unit.content_id is not None and id(unit) in loaded else None
            if kept is None and id(unit) in loaded:
                self._preloaded -= unit.size_octets
            route = self._routes.route(unit.domain)
            touched[unit.key] = self._destinations.add_work(unit, kept, route)
        for destination in touched.values():
            self._put_off(destination)
        self._start()

    # --- attempts ---

    def _start(self) -> None:
        if not self._is_running:
            return
        for destination, work in self._destinations.startable(self._clock.seconds()):
            self._spawn(self._attempt(destination, work))

    async def _attempt(self, destination: Destination, work: Work) -> None:
        unit, kept = work
        started = self._clock.seconds()
        try:
            try:
                tried = await self._attempts.deliver(unit, destination.route, kept)
            except BaseException:
                self._destinations.note_end(destination, unit)
                raise
            now = self._clock.seconds()
            self._destinations.note_outcomes(destination, unit, tried.outcomes, now, started, self._chance())
            self._put_off(destination)
            self._start()
            self._claim_soon()
            await self._attempts.settle(unit, tried)
            if tried.expansions:
                self.wake()  # the targets of an alias go on at once
        finally:
            self._end(unit, kept)

    def _put_off(self, destination: Destination) -> None:
        """What is claimed for a destination that rests gets the answer that made it rest."""
        standing = destination.standing
        if standing is None:
            return
        for unit, kept in self._destinations.take_resting(destination, self._clock.seconds()):
            self._spawn(self._defer(unit, kept, standing))

    async def _defer(self, unit: Unit, kept: StoredContent | None, standing: Deferred) -> None:
        try:
            await self._attempts.settle(unit, Tried([standing] * len(unit.recipients)))
        finally:
            self._end(unit, kept)

    def _end(self, unit: Unit, kept: StoredContent | None) -> None:
        if kept is not None:
            self._preloaded -= unit.size_octets
        for due in unit.recipients:
            self._claimed.pop(due.delivery_id, None)
        self._claim_soon()

    async def _give_back(self, units: Sequence[Unit]) -> None:
        for unit in units:
            for due in unit.recipients:
                self._claimed.pop(due.delivery_id, None)
        await self._spool.give_back(units)

    # --- beside it ---

    def _look_after(self) -> None:
        if not self._is_looking_after:
            self._is_looking_after = True
            self._spawn(self._release())
        if self._ticks % RENEW_SECONDS == 0:
            self._spawn(self._renew())
        if self._ticks % HOUSEKEEPING_SECONDS == HOUSEKEEPING_SECONDS // 10:
            self._spawn(self._forget())

    async def _release(self) -> None:
        """Let held mail go as its limits allow."""
        try:
            if await self._release_held():
                self.wake()
        except StoreTrouble as error:
            maillog.trouble("store", error)
        finally:
            self._is_looking_after = False

    async def _renew(self) -> None:
        try:
            await self._spool.renew_leases(list(self._claimed), micros(self._now() + LEASE))
        except StoreTrouble as error:
            maillog.trouble("store", error)

    async def _forget(self) -> None:
        before = micros(self._now() - self._bounds.keep_history)
        try:
            while self._is_running and await self._spool.forget_finished(before):
                await deferLater(self._clock, 0.2)
        except StoreTrouble as error:
            maillog.trouble("store", error)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run on; an exception is a bug of ours, and ends nothing but this."""
        task = Promise.fromCoroutine(coroutine)
        self._tasks.add(task)
        task.addErrback(_note_bug)
        task.addBoth(lambda _: self._forget_task(task))

    def _forget_task(self, task: Promise[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks and self._drained is not None and not self._drained.called:
            self._drained.callback(None)


def _note_bug(failure: Failure) -> None:
    if not isinstance(failure.value, CancelledError):  # cancelled by `stop`: the next attempt is written
        maillog.bug("queue", failure)
