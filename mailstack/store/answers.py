"""Between the reactor and the store's threads: work in bulk one way, results in bulk the other.

Neighbours: the threads of `group_commit` and `database` take what waits and post what is done; the reactor's thread
fires the Deferreds.
"""

from collections import deque
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

Answer = tuple[Deferred[Any], Any]
"""A Deferred and its outcome; an `Exception` as the outcome is a failure."""

T = TypeVar("T")


def take_waiting(queue: SimpleQueue[T | None], at_most: int) -> tuple[list[T], bool]:
    """Wait for a unit and take along what else waits; False when None, the end, was among it."""
    units: list[T] = []
    unit = queue.get()
    try:
        while unit is not None:
            units.append(unit)
            if len(units) == at_most:
                return units, True
            unit = queue.get_nowait()
    except Empty:
        return units, True
    return units, False


class Answers:
    """Answers on their way; `post` in any thread, the Deferreds fire in the reactor's."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._waiting: deque[Answer] = deque()
        self._is_called = False

    def post(self, answers: Iterable[Answer]) -> None:
        """Hand over outcomes."""
        self._waiting.extend(answers)
        # A trip to the reactor costs 30 µs: one on its way takes along whatever is posted before it arrives.
        if not self._is_called:
            self._is_called = True
            self._reactor.callFromThread(self._give)

    def _give(self) -> None:
        self._is_called = False  # first, so that what is posted from here on calls again
        waiting = self._waiting
        while waiting:
            deferred, outcome = waiting.popleft()
            if isinstance(outcome, Exception):
                deferred.errback(outcome)
            else:
                deferred.callback(outcome)
