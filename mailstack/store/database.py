"""The one way to the database: units of work from coroutines, run in the store's own threads, answered in the reactor.

`write` and `write_many` return after a durable commit, shared with everybody who waits at that moment
(`group_commit`); `read` runs on one of a few reading connections. `read_now` and `write_now` do the same at once in
the calling thread, for commands and the panel. A unit gets a SQLAlchemy `Connection` inside a transaction, changes
nothing else, and neither commits nor rolls back: it may be run again after a lost connection or a deadlock.
Neighbours: `engine` for the two kinds of database, `schema` for the tables.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from twisted.internet.defer import Deferred

from mailstack.store.answers import Answers, take_waiting
from mailstack.store.engine import (
    DatabaseUrlError,
    StoreTrouble,
    explain,
    is_transient,
    is_worth_another_try,
    parse_url,
    reader_engine,
    writer_engine,
)
from mailstack.store.group_commit import TRIES, GroupCommit, Unit

__all__ = ["Connection", "Database", "DatabaseUrlError", "StoreTrouble"]

READERS = 2
READ_TOGETHER = 8
"""Reads that one thread takes and answers at once: a thread switch costs more than a short query."""
POSTGRESQL_WRITERS = 3
"""SQLite has one write lock and so one writer; PostgreSQL's commits overlap."""

T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")
_ReadUnit = tuple[Deferred[Any], Callable[[Connection], Any]]


class Database:
    """An SQLite file or a PostgreSQL database. Opens no connection and starts no thread before the first use."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._writers = 1 if self.is_sqlite else POSTGRESQL_WRITERS
        self._write_engine = writer_engine(url, connections=self._writers)
        self._read_engine = reader_engine(url, connections=READERS)
        self._group_commit: GroupCommit | None = None
        self._readers: _Readers | None = None
        self._is_closed = False

    @classmethod
    def open(cls, url: str, data: Path) -> "Database":
        """The database of a config.

        Args:
            url: `sqlite:///FILE` (relative to the data folder) or `postgresql://user@host/name`.
            data: the data folder.

        Raises:
            DatabaseUrlError: the URL is no such thing.
        """
        return cls(parse_url(url, data))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run the work in the next commit and return its result once that is durable. In the reactor's thread only.

        Units that wait at the same time share a commit in no promised order. On PostgreSQL other transactions run
        beside it (READ COMMITTED): change counters with `SET n = n + x`, lock what is read to be changed.

        Raises:
            StoreTrouble: the database fails now (full, locked, gone); nothing happened, or, when it was lost in the
                COMMIT, maybe all.
            Exception: whatever the work raised; its changes are undone.
        """
        deferred: Deferred[Any] = Deferred()
        self._writing().submit(Unit(deferred, work=work))
        result: T = await deferred
        return result

    async def write_many(self, handler: Callable[[Connection, list[Item]], list[Result]], item: Item) -> Result:
        """Like `write`, but all items that wait for the same handler are given to it in one call.

        The handler returns one result for each item, in order; an `Exception` among them is that item's failure, and
        the handler sees to it that the item left nothing behind. When the handler raises, its changes are undone and
        each item is tried alone.

        Raises:
            StoreTrouble: as `write`.
            Exception: this item's failure.
        """
        deferred: Deferred[Any] = Deferred()
        self._writing().submit(Unit(deferred, handler=handler, item=item))
        result: Result = await deferred
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run the work in a reading thread; its queries see one moment of the database. In the reactor's thread only.

        Raises:
            StoreTrouble: the database fails now.
            Exception: whatever the work raised.
        """
        deferred: Deferred[Any] = Deferred()
        self._reading().submit((deferred, work))
        result: T = await deferred
        return result

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """Run the work in a transaction of its own, in the calling thread, and return its result once it is committed.

        Blocks, on SQLite for the write lock too: for commands and threads, never in the reactor's. Raises as
        `write`.
        """
        return _run_now(self._write_engine, work)

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """Run the work on a reading connection in the calling thread. Raises as `read`."""
        return _run_now(self._read_engine, work)

    def watch_commits(self, committed: Callable[[float], None]) -> None:
        """Tell somebody the seconds that each commit of the group takes, in a writer's thread."""
        self._writing().committed = committed

    def close(self) -> None:
        """Finish what is queued and close all connections. Blocks: milliseconds, unless the database is stuck."""
        self._is_closed = True
        if self._group_commit is not None:
            self._group_commit.close()
        if self._readers is not None:
            self._readers.close()
        self._write_engine.dispose()
        self._read_engine.dispose()

    def _writing(self) -> GroupCommit:
        if self._is_closed:
            raise StoreTrouble("the database is closed")
        if self._group_commit is None:
            self._group_commit = GroupCommit(self._write_engine, _answers(), threads=self._writers)
        return self._group_commit

    def _reading(self) -> "_Readers":
        if self._is_closed:
            raise StoreTrouble("the database is closed")
        if self._readers is None:
            self._readers = _Readers(self._read_engine, _answers())
        return self._readers


def _answers() -> Answers:
    from twisted.internet import reactor  # not before it is needed: commands work without one

    return Answers(reactor)  # type: ignore[arg-type]  # the module stands for the installed reactor


class _Readers:
    """Reading threads over one queue, each with a connection of its own."""

    def __init__(self, engine: Engine, answers: Answers) -> None:
        self._engine = engine
        self._answers = answers
        self._queue: SimpleQueue[_ReadUnit | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"store-reader-{number}", daemon=True)
            for number in range(READERS)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, unit: _ReadUnit) -> None:
        self._queue.put(unit)

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        connection: Connection | None = None
        is_open = True
        while is_open:
            units, is_open = take_waiting(self._queue, READ_TOGETHER)
            answers = []
            for deferred, work in units:
                outcome, connection = self._run(connection, work)
                answers.append((deferred, outcome))
            self._answers.post(answers)
        if connection is not None:
            connection.close()

    def _run(self, connection: Connection | None, work: Callable[[Connection], Any]) -> tuple[Any, Connection | None]:
        """The outcome, and the connection to go on with."""
        for number in range(1, TRIES + 1):
            try:
                connection = connection or self._engine.connect()
                with connection.begin() as transaction:
                    outcome = work(connection)
                    transaction.rollback()  # nothing was written
                return outcome, connection
            except Exception as error:
                if not is_transient(error):
                    return error, connection
                if connection is not None:
                    connection.invalidate()
                    connection.close()
                    connection = None
                if number == TRIES or not is_worth_another_try(error):
                    return StoreTrouble(explain(error)), None
        raise AssertionError("unreachable")


def _run_now(engine: Engine, work: Callable[[Connection], T]) -> T:
    for number in range(1, TRIES + 1):
        try:
            with engine.begin() as connection:
                return work(connection)
        except Exception as error:
            if not is_transient(error):
                raise
            if number == TRIES or not is_worth_another_try(error):
                raise StoreTrouble(explain(error)) from error
    raise AssertionError("unreachable")
