"""How fast to go with one destination: a value that grows with success, shrinks with failure and rests when it is down.

The concurrency of a new destination starts low and gains one for each round of successes (Postfix's 1/N feedback). A
failure of the destination as a whole (no connection, greeting refused) halves it and starts a rest; after the rest
one probe goes out, and only its success opens the way again. Neighbours: `queue/runner` keeps one `Pace` for each
destination.
"""

from dataclasses import dataclass, replace

START = 5.0
"""Enough to see quickly whether a destination bears more, few enough for one that does not."""
FIRST_REST_SECONDS = 30.0
LONGEST_REST_SECONDS = 1800.0
"""A destination that comes back is found out within half an hour, whatever the age of its mail."""
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of one destination; times in seconds of the runner's clock.

    `failures` counts rests in a row without a success between; `since` is when the last rest began, `until` when it
    ends.
    """

    bound: int
    concurrency: float
    failures: int = 0
    since: float = float("-inf")
    until: float = float("-inf")

    @classmethod
    def start(cls, bound: int) -> "Pace":
        """The pace of a destination not met before, or not for long."""
        return cls(bound=max(1, bound), concurrency=min(START, max(1, bound)))

    def allowed(self, now: float) -> int:
        """How many attempts may run at once: none while it rests, one while it is on probation."""
        if now < self.until:
            return 0
        return 1 if self.failures else max(1, int(self.concurrency))

    def rests(self, now: float) -> bool:
        """Whether it is left alone for now."""
        return now < self.until

    def after_success(self) -> "Pace":
        """It answered: an answer to one recipient, whatever it says, is a success of the destination."""
        if self.failures:
            return replace(self, failures=0, until=float("-inf"))
        if self.concurrency >= self.bound:
            return self
        return replace(self, concurrency=min(float(self.bound), self.concurrency + 1 / self.concurrency))

    def after_failure(self, now: float, started: float, chance: float) -> "Pace":
        """It failed as a whole in an attempt that started then; `chance` in 0..1 spreads the end of the rest.

        Attempts that were under way when the rest began tell nothing new: a round of failures counts once.
        """
        if started < self.since:
            return self
        rest = min(FIRST_REST_SECONDS * 2**self.failures, LONGEST_REST_SECONDS)
        return replace(
            self,
            concurrency=max(1.0, self.concurrency / 2),
            failures=min(self.failures + 1, 16),
            since=now,
            until=now + rest * (1 + JITTER * (2 * chance - 1)),
        )
