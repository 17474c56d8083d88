"""Connections that wait a few seconds for the next mail to the same next hop.

Neighbours: `remote` gives them back after a transaction and takes them for the next.
"""

from typing import Any

from mailstack.net.smtp_client import SmtpConnection

IDLE_SECONDS = 5.0
MAX_TRANSACTIONS = 100
"""Mails over one connection; many hosts end it soon after anyway."""


class IdleConnections:
    """The idle connections of each next hop; the one used last is taken first."""

    def __init__(self, clock: Any, idle_seconds: float = IDLE_SECONDS) -> None:
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._idle: dict[str, list[SmtpConnection]] = {}
        self._timers: dict[SmtpConnection, Any] = {}

    def take(self, key: str) -> SmtpConnection | None:
        """A connection that was idle, if there is one."""
        while connections := self._idle.get(key):
            connection = connections.pop()
            if not connections:
                del self._idle[key]
            self._timers.pop(connection).cancel()
            connection.when_lost = None
            if connection.is_ready:
                return connection
        return None

    def give(self, key: str, connection: SmtpConnection) -> None:
        """Keep a connection for a while; one that is worn out or not ready is closed."""
        limit = connection.session.extensions.mail_max or MAX_TRANSACTIONS
        if not connection.is_ready or connection.transactions >= min(limit, MAX_TRANSACTIONS):
            connection.quit()
            return
        self._idle.setdefault(key, []).append(connection)
        connection.when_lost = lambda lost: self._drop(key, lost)
        self._timers[connection] = self._clock.callLater(self._idle_seconds, self._expire, key, connection)

    def close(self) -> None:
        """Say goodbye on all of them."""
        for key in list(self._idle):
            self.forget(key)

    def forget(self, key: str) -> None:
        """Say goodbye on those of one next hop."""
        for connection in list(self._idle.get(key, ())):
            self._expire(key, connection)

    def _expire(self, key: str, connection: SmtpConnection) -> None:
        self._drop(key, connection)
        connection.quit()

    def _drop(self, key: str, connection: SmtpConnection) -> None:
        connection.when_lost = None
        timer = self._timers.pop(connection)
        if timer.active():
            timer.cancel()
        self._idle[key].remove(connection)
        if not self._idle[key]:
            del self._idle[key]
