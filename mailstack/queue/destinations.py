"""What the queue knows of each destination while it runs: its pace, what was claimed for it, which domains have more.

Pure bookkeeping in the reactor's thread, bounded by what was claimed. No scan over all destinations stands in the path
of an attempt. Neighbours: `runner` claims and starts by it; `policy/pacing` decides the pace.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

from mailstack.mail.outcome import Deferred, Outcome
from mailstack.management.queue import DestinationState
from mailstack.policy.pacing import Pace
from mailstack.queue.routes import Route
from mailstack.store.claims import Unit, Want
from mailstack.store.content import StoredContent

LANE_UNITS = 100
"""Units claimed ahead for one destination: enough for many connections while the next claim is committed."""
CLAIM_DELIVERIES = 500
"""Deliveries in one claim: large enough for a cheap commit, small enough not to hold up others' commits."""
CLAIM_DOMAINS = 100
RESTING_DELIVERIES = 200
"""Due deliveries of a resting destination that are put off in a second: its backlog never takes the writer's time."""
FORGET_SECONDS = 900.0
"""An idle destination keeps its pace that long."""
KNOWN_MOST = 20_000
"""Destinations kept in memory; due mail of others is found by a later walk."""
RESERVED = 0.25
"""The share of connections and claims that only a destination without any may take: slow ones never have all."""
LOOKED_AT_MOST = 50

Work = tuple[Unit, StoredContent | None]


@dataclass(slots=True, eq=False)
class Destination:
    """One destination. `lane` is claimed and not started, `ready` the domains with due mail that is not claimed."""

    route: Route
    pace: Pace
    lane: deque[Work] = field(default_factory=deque)
    ready: dict[str, int] = field(default_factory=dict)
    running: int = 0
    is_queued: bool = False
    resting_left: int = RESTING_DELIVERIES
    standing: Deferred | None = None
    """Why it rests: the answer for what comes due meanwhile."""
    used_at: float = 0.0


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
        self._claimable: dict[str, Destination] = {}
        self.running = 0
        self.notes = 0
        """Counts `note_due`: a claim knows by it what was noted after it began."""

    def note_due(self, route: Route, domain: str, now: float) -> None:
        """A domain has due mail."""
        destination = self._known.get(route.key)
        if destination is None:
            if len(self._known) >= KNOWN_MOST:
                return
            destination = self._known[route.key] = Destination(route, Pace.start(self._bound))
        destination.route = route  # a password may have changed under the same name
        self.notes += 1
        destination.ready[domain] = self.notes
        destination.used_at = now
        self._claimable[route.key] = destination

    def note_exhausted(self, key: str, domain: str, notes: int) -> None:
        """A claim that began at that count of `notes` found no more due mail of a domain than it took."""
        destination = self._known.get(key)
        if destination is None or destination.ready.get(domain, 0) > notes:
            return
        destination.ready.pop(domain, None)
        if not destination.ready:
            self._claimable.pop(key, None)

    @property
    def has_claimable(self) -> bool:
        """Whether any domain has due mail that is not claimed."""
        return bool(self._claimable)

    def wants(self, now: float, claimed: int, claimed_most: int) -> list[Want]:
        """What to claim next, destinations in turn, when so many of so many deliveries are claimed."""
        wants: list[Want] = []
        left = min(claimed_most - claimed, CLAIM_DELIVERIES)
        is_scarce = claimed > claimed_most * (1 - RESERVED)
        share = max(5, left // max(1, min(len(self._claimable), CLAIM_DOMAINS)))
        for key in list(islice(self._claimable, 4 * CLAIM_DOMAINS)):
            if left <= 0 or len(wants) >= CLAIM_DOMAINS:
                break
            destination = self._claimable[key] = self._claimable.pop(key)  # to the end: next time it is others' turn
            if is_scarce and (destination.lane or destination.running):
                continue
            here = min(left, share, self._lane_left(destination, now))
            if here > 0:
                taken = self._wants_of(destination, here, CLAIM_DOMAINS - len(wants))
                wants += taken
                left -= sum(want.deliveries for want in taken)
        return wants

    def _lane_left(self, destination: Destination, now: float) -> int:
        if destination.pace.rests(now):
            return destination.resting_left
        ahead = min(LANE_UNITS, destination.pace.allowed(now) * 10)
        # Half empty before it is filled again, so that claims come in batches.
        return ahead - len(destination.lane) if len(destination.lane) <= ahead // 2 else 0

    def _wants_of(self, destination: Destination, deliveries: int, domains: int) -> list[Want]:
        chosen = list(destination.ready)[:domains]
        share = max(1, deliveries // len(chosen))
        wants = []
        for domain in chosen[:deliveries]:
            destination.ready[domain] = destination.ready.pop(domain)
            wants.append(Want(domain, destination.route.key, share, destination.route.is_shared))
        return wants

    def add_work(self, unit: Unit, kept: StoredContent | None, route: Route) -> Destination:
        """Put a claimed unit into its destination's lane."""
        destination = self._known.get(unit.key)
        if destination is None:
            destination = self._known[unit.key] = Destination(route, Pace.start(self._bound))
        if unit.is_urgent:
            destination.lane.appendleft((unit, kept))
        else:
            destination.lane.append((unit, kept))
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
            if not destination.lane or not self._may_start(destination, now):
                continue  # comes back when one of its attempts ends, or with `refresh`
            if destination.running and self.running >= self._in_all * (1 - RESERVED):
                passed_over += 1
                self._queue(destination)
                continue
            work = destination.lane.popleft()
            destination.running += 1
            destination.used_at = now
            self.running += 1
            if destination.lane:
                self._queue(destination)
            yield destination, work

    def _may_start(self, destination: Destination, now: float) -> bool:
        if destination.lane[0][0].is_urgent and destination.running < self._bound:
            return True
        return destination.running < destination.pace.allowed(now)

    def take_resting(self, destination: Destination, now: float) -> list[Work]:
        """Of a resting destination: what is claimed and not urgent, to be put off without a try."""
        if not destination.pace.rests(now):
            return []
        resting = [work for work in destination.lane if not work[0].is_urgent]
        destination.lane = deque(work for work in destination.lane if work[0].is_urgent)
        destination.resting_left = max(0, destination.resting_left - sum(len(unit.recipients) for unit, _ in resting))
        return resting

    def note_outcomes(
        self, destination: Destination, outcomes: Iterable[Outcome], now: float, started: float, chance: float
    ) -> None:
        """An attempt came back: the pace learns from it, and the place is free."""
        self.note_end(destination)
        whole = next((o for o in outcomes if isinstance(o, Deferred) and o.whole_destination), None)
        if whole is None:
            destination.pace = destination.pace.after_success()
            destination.standing = None
        else:
            destination.pace = destination.pace.after_failure(now, started, chance)
            destination.standing = whole

    def note_end(self, destination: Destination) -> None:
        """An attempt ended, whatever came of it."""
        destination.running -= 1
        self.running -= 1
        if destination.lane:
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
            if destination.lane:
                self._queue(destination)
            elif not destination.running and not destination.ready:
                idle = now - destination.used_at
                if idle > FORGET_SECONDS or (is_crowded and not destination.pace.failures and idle > 1):
                    del self._known[key]

    def take_all(self) -> list[Unit]:
        """Everything claimed and not started, to be given back."""
        units = [unit for destination in self._known.values() for unit, _ in destination.lane]
        for destination in self._known.values():
            destination.lane.clear()
            destination.ready.clear()
        self._claimable.clear()
        return units
