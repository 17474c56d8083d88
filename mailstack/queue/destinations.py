"""What the queue knows of each destination while it runs: its pace, what was claimed for it, which domains have more.

Pure bookkeeping in the reactor's thread, bounded by what was claimed. No scan over all destinations stands in the path
of an attempt. Neighbours: `lanes` is one destination; `runner` claims and starts by it.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice

from mailstack.mail.outcome import Deferred, Outcome
from mailstack.management.queue import DestinationState
from mailstack.policy.pacing import Pace
from mailstack.queue.lanes import BULK, PEOPLE, RESTING_DELIVERIES, Destination, Work
from mailstack.queue.routes import Route
from mailstack.store.claims import Due, Unit, Want
from mailstack.store.content import StoredContent

LANE_UNITS = 100
"""Units claimed ahead for one destination: enough for many connections while the next claim is committed."""
CLAIM_DELIVERIES = 500
"""Deliveries in one claim: large enough for a cheap commit, small enough not to hold up others' commits."""
CLAIM_DOMAINS = 100
FORGET_SECONDS = 900.0
"""An idle destination keeps its pace that long."""
KNOWN_MOST = 20_000
"""Destinations kept in memory; due mail of others is found by a later walk."""
RESERVED = 0.25
"""The share of connections and claims that only a destination without any may take: slow ones never have all."""
BULK_SHARE = 0.25
"""The share of each claim that is bulk's when both lanes have mail: people first, and nobody starved."""
LOOKED_AT_MOST = 50


class Destinations:
    """All destinations met of late.

    Args:
        bound: attempts at once at one destination.
        in_all: attempts at once at all of them.
    """

    def __init__(self, bound: int, in_all: int) -> None:
        self._bound = bound
        self._in_all = in_all
        self._known: dict[str, Destination] = {}
        self._startable: deque[Destination] = deque()
        self._claimable: tuple[dict[str, Destination], dict[str, Destination]] = ({}, {})
        self._running = [0, 0]
        self.notes = 0
        """Counts `note_due`: a claim knows by it what was noted after it began."""

    def note_due(self, route: Route, due: Due, now: float) -> None:
        """A lane of a domain has due mail."""
        destination = self._known.get(route.key)
        if destination is None:
            if len(self._known) >= KNOWN_MOST:
                return
            destination = self._known[route.key] = Destination(route, Pace.start(self._bound))
        destination.route = route  # a password may have changed under the same name
        self.notes += 1
        destination.lanes[due.is_bulk].ready[due.domain] = self.notes
        destination.used_at = now
        self._claimable[due.is_bulk][route.key] = destination

    def note_exhausted(self, key: str, due: Due, notes: int) -> None:
        """A claim that began at that count of `notes` found no more due mail of a domain than it took."""
        destination = self._known.get(key)
        if destination is None:
            return
        ready = destination.lanes[due.is_bulk].ready
        if ready.get(due.domain, 0) > notes:
            return
        ready.pop(due.domain, None)
        if not ready:
            self._claimable[due.is_bulk].pop(key, None)

    @property
    def has_claimable(self) -> bool:
        """Whether any domain has due mail that is not claimed."""
        return any(self._claimable)

    def wants(self, now: float, claimed: int, claimed_bulk: int, claimed_most: int) -> list[Want]:
        """What to claim next, people's mail first, destinations in turn.

        Args:
            now: seconds of the runner's clock.
            claimed: deliveries that are claimed.
            claimed_bulk: those of them that are bulk, which never has all of the claims.
            claimed_most: how many may be.
        """
        left = min(claimed_most - claimed, CLAIM_DELIVERIES)
        is_scarce = claimed > claimed_most * (1 - RESERVED)
        bulk_left = max(0, min(left, int(claimed_most * (1 - RESERVED)) - claimed_bulk))
        kept = min(bulk_left, int(left * BULK_SHARE)) if self._claimable[BULK] else 0
        domains = int(CLAIM_DOMAINS * (1 - BULK_SHARE)) if kept else CLAIM_DOMAINS
        wants = self._wants_in(PEOPLE, now, left - kept, domains, is_scarce=is_scarce)
        left -= sum(want.deliveries for want in wants)
        domains = CLAIM_DOMAINS - len(wants)
        return wants + self._wants_in(BULK, now, min(left, bulk_left), domains, is_scarce=is_scarce)

    def _wants_in(self, is_bulk: bool, now: float, left: int, domains: int, *, is_scarce: bool) -> list[Want]:
        """So many deliveries, at most, of one lane and of so many domains."""
        claimable = self._claimable[is_bulk]
        wants: list[Want] = []
        share = max(5, left // max(1, min(len(claimable), CLAIM_DOMAINS)))
        for key in list(islice(claimable, 4 * CLAIM_DOMAINS)):
            if left <= 0 or len(wants) >= domains:
                break
            destination = claimable[key] = claimable.pop(key)  # to the end: next time it is others' turn
            if is_scarce and (destination.has_work or destination.running):
                continue
            here = min(left, share, self._room_in(destination, is_bulk, now))
            if here > 0:
                taken = self._wants_of(destination, is_bulk, here, domains - len(wants))
                wants += taken
                left -= sum(want.deliveries for want in taken)
        return wants

    def _room_in(self, destination: Destination, is_bulk: bool, now: float) -> int:
        if destination.pace.rests(now):
            return destination.resting_left
        ahead = min(LANE_UNITS, destination.pace.allowed(now) * 10)
        # Half empty before it is filled again, so that claims come in batches.
        claimed = len(destination.lanes[is_bulk].work)
        return ahead - claimed if claimed <= ahead // 2 else 0

    def _wants_of(self, destination: Destination, is_bulk: bool, deliveries: int, domains: int) -> list[Want]:
        ready, route = destination.lanes[is_bulk].ready, destination.route
        chosen = list(ready)[:domains]
        share = max(1, deliveries // len(chosen))
        wants = []
        for domain in chosen[:deliveries]:
            ready[domain] = ready.pop(domain)
            wants.append(Want(domain, route.key, share, route.is_shared, is_bulk))
        return wants

    def add_work(self, unit: Unit, kept: StoredContent | None, route: Route) -> Destination:
        """Put a claimed unit into its destination's lane."""
        destination = self._known.get(unit.key)
        if destination is None:
            destination = self._known[unit.key] = Destination(route, Pace.start(self._bound))
        work = destination.lanes[unit.is_bulk].work
        if unit.is_urgent:
            work.appendleft((unit, kept))
        else:
            work.append((unit, kept))
        self._queue(destination)
        return destination

    def _queue(self, destination: Destination) -> None:
        if not destination.is_queued:
            destination.is_queued = True
            self._startable.append(destination)

    def startable(self, now: float) -> Iterator[tuple[Destination, Work]]:
        """Work that may start now, destinations in turn; each one given is counted as running."""
        passed_over = 0
        while self._startable and self.running < self._in_all and passed_over < LOOKED_AT_MOST:
            destination = self._startable.popleft()
            destination.is_queued = False
            lane = destination.next_lane(now, self._bound)
            if lane is None:
                continue  # comes back when one of its attempts ends, or with `refresh`
            if self._is_kept_for_others(destination, lane):
                passed_over += 1
                self._queue(destination)
                continue
            self._running[lane] += 1
            destination.used_at = now
            work = destination.start(lane)
            if destination.has_work:
                self._queue(destination)
            yield destination, work

    def _is_kept_for_others(self, destination: Destination, is_bulk: bool) -> bool:
        """The last connections are for a destination without any, and for people's mail."""
        most = max(1, int(self._in_all * (1 - RESERVED)))
        return (destination.running > 0 and self.running >= most) or (is_bulk and self._running[BULK] >= most)

    @property
    def running(self) -> int:
        """Attempts under way at all destinations."""
        return sum(self._running)

    def take_resting(self, destination: Destination, now: float) -> list[Work]:
        """Of a resting destination: what is claimed and not urgent, to be put off without a try."""
        if not destination.pace.rests(now):
            return []
        resting: list[Work] = []
        for lane in destination.lanes:
            resting += [work for work in lane.work if not work[0].is_urgent]
            lane.work = deque(work for work in lane.work if work[0].is_urgent)
        destination.resting_left = max(0, destination.resting_left - sum(len(unit.recipients) for unit, _ in resting))
        return resting

    def note_outcomes(
        self,
        destination: Destination,
        unit: Unit,
        outcomes: Iterable[Outcome],
        now: float,
        started: float,
        chance: float,
    ) -> None:
        """An attempt came back: the pace learns from it, and the place is free."""
        self.note_end(destination, unit)
        whole = next((o for o in outcomes if isinstance(o, Deferred) and o.whole_destination), None)
        if whole is None:
            destination.pace = destination.pace.after_success()
            destination.standing = None
        else:
            destination.pace = destination.pace.after_failure(now, started, chance)
            destination.standing = whole

    def note_end(self, destination: Destination, unit: Unit) -> None:
        """An attempt ended, whatever came of it."""
        destination.lanes[unit.is_bulk].running -= 1
        self._running[unit.is_bulk] -= 1
        if destination.has_work:
            self._queue(destination)

    def state(self, key: str, now: float) -> DestinationState | None:
        """How a destination is dealt with; None when nothing of late was due for it."""
        destination = self._known.get(key)
        if destination is None:
            return None
        rest = destination.pace.until - now
        return DestinationState(
            destination.running,
            destination.pace.allowed(now),
            timedelta(seconds=rest) if rest > 0 else None,
            str(destination.standing.reply) if destination.standing else "",
        )

    def refresh(self, now: float) -> None:
        """About each second: rests that ended let work start, budgets are new, idle destinations are forgotten."""
        is_crowded = len(self._known) > KNOWN_MOST // 2
        for key, destination in list(self._known.items()):
            destination.resting_left = RESTING_DELIVERIES
            if destination.has_work:
                self._queue(destination)
            elif destination.is_idle:
                idle = now - destination.used_at
                if idle > FORGET_SECONDS or (is_crowded and not destination.pace.failures and idle > 1):
                    del self._known[key]

    def take_all(self) -> list[Unit]:
        """Everything claimed and not started, to be given back."""
        lanes = [lane for destination in self._known.values() for lane in destination.lanes]
        units = [unit for lane in lanes for unit, _ in lane.work]
        for lane in lanes:
            lane.work.clear()
            lane.ready.clear()
        for claimable in self._claimable:
            claimable.clear()
        return units
