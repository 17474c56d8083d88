"""Runs a coroutine that seldom waits, without a Deferred for it when it does not.

A burst of pipelined commands is mostly answered from memory; a Deferred and its callbacks for each would cost more
than many a burst. Neighbour: `smtp_connection`.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


def run(coroutine: Coroutine[Deferred[Any], Any, None], failed: Callable[[Failure], None]) -> None:
    """Run to the end, now as far as it goes without waiting. What it raises is given to `failed`."""
    _go_on(None, coroutine, failed)


def _go_on(result: object, coroutine: Coroutine[Deferred[Any], Any, None], failed: Callable[[Failure], None]) -> None:
    try:
        if isinstance(result, Failure):
            waits_for = result.throwExceptionIntoGenerator(coroutine)  # type: ignore[no-untyped-call]
        else:
            waits_for = coroutine.send(result)
    except StopIteration:
        return
    except Exception:
        failed(Failure())  # type: ignore[no-untyped-call]
        return
    waits_for.addBoth(_go_on, coroutine, failed)
