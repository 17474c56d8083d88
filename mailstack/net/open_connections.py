"""The connections of a service that are open, and a bounded wait for the last of them to end.

Neighbours: `smtp_server` and `pop3_server`, which say at a shutdown what is said and cut meanwhile.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

Connection = TypeVar("Connection")


class OpenConnections(Generic[Connection]):
    """A set that can be awaited to be empty."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._open: set[Connection] = set()
        self._emptied: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, connection: object) -> bool:
        return connection in self._open

    def __iter__(self) -> Iterator[Connection]:
        """Those that are open now; they may end while one goes through them."""
        return iter(list(self._open))

    def add(self, connection: Connection) -> None:
        """One more."""
        self._open.add(connection)

    def discard(self, connection: Connection) -> None:
        """It has ended."""
        self._open.discard(connection)
        if not self._open:
            self._end_wait()

    async def wait_until_none(self, seconds: float) -> None:
        """Come back when none is open, or after the time."""
        if not self._open:
            return
        self._emptied = Deferred()
        call = self._clock.callLater(seconds, self._end_wait)
        await self._emptied
        if call.active():
            call.cancel()

    def _end_wait(self) -> None:
        emptied, self._emptied = self._emptied, None
        if emptied is not None:
            emptied.callback(None)
