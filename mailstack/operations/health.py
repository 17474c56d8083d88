"""Whether the host can do its work now, for who watches from outside: `/healthz` says 200 or 503.

The database is asked for a commit every few seconds, whoever asks here, so that a flood of questions costs nothing.
That there is an answer at all shows that the reactor turns. Neighbours: `app.py` calls `look` again and again, and puts
the page on the panel's ports and beside the metrics; `net/systemd` tells systemd that the reactor turns.
"""

# mypy: disallow-untyped-calls=False, disallow-subclassing-any=False
# twisted.web has no types.

from collections.abc import Callable
from datetime import timedelta

from twisted.web.http import SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import Request

from mailstack import maillog
from mailstack.store.database import Database, StoreTrouble
from mailstack.store.settings import prove_writable

PATH = b"/healthz"
LOOK_EACH = timedelta(seconds=10)
SILENT_SECONDS = 30.0
"""A commit that takes longer than this is none: clients do not wait either."""


class Health:
    """What is wrong with a host, as far as its database knows.

    Args:
        database: open.
        now: seconds of any steady clock.
    """

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._answered_at = now()
        self._trouble: str | None = "it is starting"

    async def look(self) -> None:
        """Ask the database for a commit. The log tells once that it fails."""
        try:
            await self._database.write(prove_writable)
        except StoreTrouble as error:
            if self._trouble != str(error):
                maillog.trouble("health", error)
            self._trouble = str(error)
        else:
            self._trouble = None
        self._answered_at = self._now()

    def trouble(self) -> str | None:
        """What keeps the host from its work now; None = nothing."""
        silent = self._now() - self._answered_at
        if silent > SILENT_SECONDS:
            return f"the database has not answered for {silent:.0f} s"
        return self._trouble


class HealthPage(Resource):
    """`GET /healthz`: 200 `ok`, or 503.

    Args:
        health: of the host.
        tells_why: whether the 503 says what is wrong, which is nothing for strangers.
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, health: Health, *, tells_why: bool) -> None:
        super().__init__()
        self._health = health
        self._tells_why = tells_why

    def render_GET(self, request: Request) -> bytes:  # noqa: N802  # Twisted's name
        """The state of this moment."""
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        trouble = self._health.trouble()
        if trouble is None:
            return b"ok\n"
        request.setResponseCode(SERVICE_UNAVAILABLE)
        return f"not ready: {trouble}\n".encode() if self._tells_why else b"not ready\n"
