"""When a name may be tried again from an address: sign-ins to the panel slow down like log-ins of mail clients.

A mail client waits for its answer; a browser is told how long to wait, for a thread that sleeps is one page less for
everybody. In the server's process the counts are those of the mail log-ins. Neighbours: `policy/slowdown` decides,
`login` counts for mail clients, `admin_ui/sign_in` asks here.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from mailstack.policy.slowdown import Slowdown, name_key, network_of

TOO_LONG_SECONDS = 600
"""Where nothing is checked any more: counts halve in this time."""
REMEMBERED = 10_000
T = TypeVar("T")


class Turnstile:
    """One for all sign-ins of a process.

    Args:
        slowdown: the counts.
        seconds: the clock that the counts are kept by.
        run: calls a function where the counts may be touched: in the reactor's thread, or under a lock.
    """

    def __init__(
        self,
        slowdown: Slowdown | None = None,
        seconds: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], Any]], Any] | None = None,
    ) -> None:
        self._slowdown = slowdown or Slowdown()
        self._seconds = seconds
        self._run = run or _locked()
        self._failed_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, name: str, source: str) -> int:
        """Whole seconds until this name may be tried from this address; 0 = now."""
        return self._call(lambda: self._wait(name_key(name), source, self._seconds()))

    def note_failure(self, name: str, source: str) -> None:
        """A wrong password or code, or an unknown name."""
        self._call(lambda: self._fail(name_key(name), source, self._seconds()))

    def note_success(self, name: str, source: str) -> None:
        """Somebody signed in: this network is known to the name from now on."""
        self._call(lambda: self._slowdown.note_success(name_key(name), source))

    def _call(self, work: Callable[[], T]) -> T:
        result: T = self._run(work)
        return result

    def _wait(self, key: str, source: str, now: float) -> int:
        delay = self._slowdown.delay(key, source, now)
        if delay is None:
            return TOO_LONG_SECONDS
        failed_at = max(self._failed_at.get(one, 0.0) for one in (key, network_of(source)))
        return max(math.ceil(failed_at + delay - now), 0) if delay and failed_at else 0

    def _fail(self, key: str, source: str, now: float) -> None:
        self._slowdown.note_failure(key, source, now)
        for one in (key, network_of(source)):
            self._failed_at[one] = now
            self._failed_at.move_to_end(one)
        while len(self._failed_at) > REMEMBERED:
            self._failed_at.popitem(last=False)


def _locked() -> Callable[[Callable[[], Any]], Any]:
    lock = threading.Lock()

    def run(work: Callable[[], Any]) -> Any:
        with lock:
            return work()

    return run
