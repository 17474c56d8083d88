"""Group commit: all units of work that wait are run in one transaction and cost one fsync together.

A unit is never half applied: each runs in a SAVEPOINT of its own, so that its failure undoes its own changes only,
and is answered after the COMMIT. An error of the database itself fails every unit of the batch with `StoreTrouble`;
the thread then connects anew, by and by. Neighbours: `database` hands units in; `engine` tells the errors apart;
`answers` brings the outcomes back.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from sqlalchemy import Connection, Engine
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailstack.store.answers import Answers, take_waiting
from mailstack.store.engine import StoreTrouble, explain, is_transient, is_worth_another_try

BATCH_UNITS = 256
TRIES = 3
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

Work = Callable[[Connection], Any]
Handler = Callable[[Connection, list[Any]], list[Any]]

_log = Logger()


@dataclass(slots=True, eq=False)
class Unit:
    """Either `work`, or an `item` for a `handler` that takes all items of a batch together."""

    deferred: Deferred[Any]
    work: Work | None = None
    handler: Handler | None = None
    item: Any = None

    def run(self, connection: Connection) -> Any:
        """Do this unit alone."""
        if self.handler is None:
            assert self.work is not None  # noqa: S101 - one of the two is always set
            return self.work(connection)
        (result,) = self.handler(connection, [self.item])
        return result


class GroupCommit:
    """Writer threads over one queue of units; SQLite has one writer, PostgreSQL may have several."""

    def __init__(self, engine: Engine, answers: Answers, *, threads: int) -> None:
        self._engine = engine
        self._answers = answers
        self._queue: SimpleQueue[Unit | None] = SimpleQueue()
        self._closing = threading.Event()
        self.committed: Callable[[float], None] | None = None  # told in the writer's thread how many seconds each took
        self._threads = [
            threading.Thread(target=self._serve, name=f"store-writer-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, unit: Unit) -> None:
        """Queue a unit; its Deferred fires in the reactor after the commit."""
        self._queue.put(unit)

    def close(self) -> None:
        """Finish what is queued, then end the threads."""
        self._closing.set()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        session = _Session(self._engine)
        is_open = True
        while is_open:
            units, is_open = take_waiting(self._queue, BATCH_UNITS)
            started = time.monotonic()
            outcomes = session.settle(units)
            if units and self.committed is not None:
                self.committed(time.monotonic() - started)
            self._answers.post(zip((unit.deferred for unit in units), outcomes, strict=True))
            if session.pause_seconds:
                # Units that arrive meanwhile wait for the next try instead of failing by the thousand.
                self._closing.wait(session.pause_seconds)
        session.drop()


class _Session:
    """One writer thread's connection, kept while it works."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self.pause_seconds = 0.0

    def settle(self, units: list[Unit]) -> list[Any]:
        """Run and commit a batch; one outcome for each unit, an Exception where it failed."""
        for number in range(1, TRIES + 1):
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                outcomes = commit_batch(self._connection, units) if units else []
            except Exception as error:  # whatever it is, the callers must hear of it and the thread must live on
                self.drop()
                if number == TRIES or not is_worth_another_try(error):
                    return self._fail(units, error)
            else:
                self._recover()
                return outcomes
        raise AssertionError("unreachable")

    def drop(self) -> None:
        """Give the connection up; the next batch makes a new one."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.invalidate()
            connection.close()
        except Exception as error:  # it is broken already: nothing more to be saved
            _log.debug("closing a broken database connection: {why}", why=explain(error))

    def _fail(self, units: list[Unit], error: Exception) -> list[Any]:
        why = explain(error)
        if not self.pause_seconds:
            _log.error("the database does not take changes now: {why}", why=why)
        self.pause_seconds = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, self.pause_seconds * 2))
        return [StoreTrouble(why) for _ in units]

    def _recover(self) -> None:
        if self.pause_seconds:
            _log.info("the database takes changes again")
            self.pause_seconds = 0.0


def commit_batch(connection: Connection, units: list[Unit]) -> list[Any]:
    """Run the units in one transaction and commit it.

    Returns:
        One outcome for each unit, in order; an `Exception` where that unit failed and left nothing behind.

    Raises:
        Exception: the transaction as a whole is lost, for every unit.
    """
    connection.begin()
    outcomes = [_run_alone(connection, units[0])] if len(units) == 1 else _run_together(connection, units)
    if connection.in_transaction():
        try:
            connection.commit()
        except Exception as error:
            # Not known whether it took hold, so it is not run again here: the peer may repeat it.
            raise StoreTrouble(explain(error)) from error
    return outcomes


def _run_alone(connection: Connection, unit: Unit) -> Any:
    try:
        outcome = unit.run(connection)
    except Exception as error:
        if is_transient(error):
            raise
        outcome = error
    if isinstance(outcome, Exception):
        connection.rollback()
    return outcome


def _run_together(connection: Connection, units: list[Unit]) -> list[Any]:
    groups: dict[Any, list[Unit]] = {}
    for unit in units:
        groups.setdefault(unit.handler or unit, []).append(unit)
    outcomes: dict[Unit, Any] = {}
    for group in groups.values():
        handler = group[0].handler
        if handler is None or len(group) == 1 or not _run_group(connection, handler, group, outcomes):
            for unit in group:
                outcomes[unit] = _in_savepoint(connection, unit.run)
    return [outcomes[unit] for unit in units]


def _run_group(connection: Connection, handler: Handler, group: list[Unit], outcomes: dict[Unit, Any]) -> bool:
    """Give the handler all its items at once; False when that failed and each must be tried alone."""
    items = [unit.item for unit in group]
    pairs = _in_savepoint(connection, lambda connection: list(zip(group, handler(connection, items), strict=True)))
    if isinstance(pairs, Exception):
        return False
    outcomes.update(pairs)
    return True


def _in_savepoint(connection: Connection, work: Work) -> Any:
    """The work's result, or the exception it raised, its changes undone. Raises only what loses the transaction."""
    raw = connection.connection.cursor()  # below SQLAlchemy: 2 µs instead of 40 for each of the three statements
    raw.execute("SAVEPOINT unit")
    try:
        outcome = work(connection)
        if not isinstance(outcome, Exception):
            raw.execute("RELEASE SAVEPOINT unit")
            return outcome
    except Exception as error:
        if is_transient(error):
            raise
        outcome = error
    raw.execute("ROLLBACK TO SAVEPOINT unit")
    raw.execute("RELEASE SAVEPOINT unit")
    return outcome
