"""Does a sender's domain exist? Asked of the DNS at MAIL, but never so that a slow or silent DNS slows mail down.

A question that is not answered in `PATIENCE_SECONDS` counts as not known, and for `PAUSE_SECONDS` after that nobody is
asked: silence of the DNS is not held against senders (RFC 5321 section 4.1.1.2 asks for no such check at all).
"""

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.interfaces import IReactorTime

from mailstack.mail.lookup import SenderDomain

PATIENCE_SECONDS = 3.0
PAUSE_SECONDS = 30.0


class SenderDomains:
    """Asks a resolver with little patience.

    Args:
        ask: the resolver's question.
        clock: for the patience and the pause.
    """

    def __init__(self, ask: Callable[[str], Awaitable[SenderDomain]], clock: IReactorTime) -> None:
        self._ask = ask
        self._clock = clock
        self._silent_until = float("-inf")

    async def find(self, domain: str) -> SenderDomain:
        """What the DNS says of a domain."""
        if self._clock.seconds() < self._silent_until:
            return SenderDomain.UNKNOWN
        asked = Deferred.fromCoroutine(self._ask_once(domain))
        try:
            return await asked.addTimeout(PATIENCE_SECONDS, self._clock)
        except DeferTimeoutError:
            self._silent_until = self._clock.seconds() + PAUSE_SECONDS
            return SenderDomain.UNKNOWN

    async def _ask_once(self, domain: str) -> SenderDomain:
        return await self._ask(domain)
