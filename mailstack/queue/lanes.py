"""A destination's two lanes: mail of people goes first, mailings have a lane of their own, and both keep going.

Neighbours: `destinations` keeps them all; `store/submissions` says what is bulk; `policy/pacing` how much at once.
"""

from collections import deque
from dataclasses import dataclass, field

from mailstack.mail.outcome import Deferred
from mailstack.policy.pacing import Pace
from mailstack.queue.routes import Route
from mailstack.store.claims import Unit
from mailstack.store.content import StoredContent

PEOPLE, BULK = False, True
"""The lanes, as `is_bulk` says it."""
PEOPLE_IN_A_ROW = 4
"""Starts of people's mail at a destination before bulk has its turn."""
KEPT_FROM_BULK = 4
"""One of so many connections of a destination, and at least one where there are two, is never bulk's."""
RESTING_DELIVERIES = 200
"""Due deliveries of a resting destination that are put off in a second: its backlog never takes the writer's time."""

Work = tuple[Unit, StoredContent | None]


@dataclass(slots=True, eq=False)
class Lane:
    """A lane at a destination. `work` is claimed and not started, `ready` the domains with due mail not claimed."""

    work: deque[Work] = field(default_factory=deque)
    ready: dict[str, int] = field(default_factory=dict)
    running: int = 0


@dataclass(slots=True, eq=False)
class Destination:
    """One destination with its two lanes."""

    route: Route
    pace: Pace
    lanes: tuple[Lane, Lane] = field(default_factory=lambda: (Lane(), Lane()))
    people_in_a_row: int = 0
    is_queued: bool = False
    resting_left: int = RESTING_DELIVERIES
    standing: Deferred | None = None
    """Why it rests: the answer for what comes due meanwhile."""
    used_at: float = 0.0

    @property
    def running(self) -> int:
        """Attempts under way."""
        return self.lanes[PEOPLE].running + self.lanes[BULK].running

    @property
    def has_work(self) -> bool:
        """Whether anything is claimed and not started."""
        return bool(self.lanes[PEOPLE].work or self.lanes[BULK].work)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do, claimed or not."""
        return not (self.running or self.has_work or self.lanes[PEOPLE].ready or self.lanes[BULK].ready)

    def next_lane(self, now: float, bound: int) -> bool | None:
        """The lane whose turn it is; None when nothing may start.

        Bulk leaves some connections to people whatever it has to send, and has each fifth turn at the others.
        """
        for is_bulk, lane in enumerate(self.lanes):
            if lane.work and lane.work[0][0].is_urgent and self.running < bound:
                return bool(is_bulk)
        allowed = self.pace.allowed(now)
        if self.running >= allowed:
            return None
        people, bulk = self.lanes
        may_bulk = bool(bulk.work) and bulk.running < max(1, allowed - max(1, allowed // KEPT_FROM_BULK))
        if people.work and not (may_bulk and self.people_in_a_row >= PEOPLE_IN_A_ROW):
            return PEOPLE
        return BULK if may_bulk else None

    def start(self, is_bulk: bool) -> Work:
        """Take the next work of a lane; it is under way from now on."""
        lane = self.lanes[is_bulk]
        lane.running += 1
        self.people_in_a_row = 0 if is_bulk else self.people_in_a_row + 1
        return lane.work.popleft()
