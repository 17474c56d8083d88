"""How this program connects to SQLite and to PostgreSQL, and which of their errors pass by themselves.

The rest of the store sees one kind of database: a writer's transaction takes its write lock at once on SQLite, a
reader's sees one moment on both. Neighbours: `database` runs the threads over these engines; `migrate` asks for an
engine of its own.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, TimeoutError

BUSY_TIMEOUT_SECONDS = 15
"""How long to wait for SQLite's one write lock."""
BUSY_POLL_MILLISECONDS = 2
"""SQLite asks ever more seldom, each 0.1 s in the end: a command beside a busy server then waited 6 s for a gap."""
CHECKPOINT_PAGES = 4096
"""16 MiB of WAL between checkpoints: each costs fsyncs, and writes a page once for all changes of it since the last."""
POSTGRESQL_CONNECT_SECONDS = 5

_SQLITE_TRANSIENT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}
# Classes of SQLSTATE: connection lost, rolled back (deadlock, serialization), resources, operator's hand, system error.
_POSTGRESQL_TRANSIENT = ("08", "40", "53", "57", "58")
_POSTGRESQL_TRANSIENT_STATES = {
    "55P03",
    "25006",
}  # lock not available; read-only, as after a switch to a standby


class StoreTrouble(Exception):
    """The database or the disk fails now and may not fail later: disk full, locked, gone. In a session it is a 4xx."""


class DatabaseUrlError(ValueError):
    """A database URL that this program cannot use; the text says what, why and the mend."""


def parse_url(url: str, data: Path) -> URL:
    """Read a database URL of the config and add the driver.

    Args:
        url: `sqlite:///FILE`, relative to the data folder unless it starts with a slash, or `postgresql://user@host/name`.
        data: the data folder.

    Raises:
        DatabaseUrlError: anything else.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseUrlError(
            f"the database setting {url!r} is no URL: write sqlite:///FILE or postgresql://user@host/name"
        ) from None
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise DatabaseUrlError(f"the database setting {url!r} names no file: write sqlite:///FILE")
        return parsed.set(drivername="sqlite+pysqlite", database=str(data / parsed.database))
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg2")
    raise DatabaseUrlError(
        f"the database setting {url!r} is of kind {backend!r}: take sqlite:///FILE or postgresql://user@host/name"
    )


def sqlite_file(url: str, data: Path) -> Path | None:
    """The file of an SQLite database; None for another. Raises as `parse_url`."""
    parsed = parse_url(url, data)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def writer_engine(url: URL, *, connections: int = 1) -> Engine:
    """An engine whose transactions may write; up to `connections` are kept open, a few more at need."""
    if url.get_backend_name() == "sqlite":
        engine = _sqlite(url, connections, cache_kib=32 * 1024)
        event.listen(engine, "connect", _poll_often)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    return _postgresql(url, connections, isolation_level="READ COMMITTED")


def reader_engine(url: URL, *, connections: int = 2) -> Engine:
    """An engine that cannot write and whose transactions see one moment of the database."""
    if url.get_backend_name() == "sqlite":
        engine = _sqlite(url, connections, cache_kib=8 * 1024)
        event.listen(engine, "connect", _refuse_writes)
        event.listen(engine, "begin", _begin)
        return engine
    repeatable = _postgresql(url, connections, isolation_level="REPEATABLE READ")
    return repeatable.execution_options(postgresql_readonly=True)


def _sqlite(url: URL, connections: int, *, cache_kib: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=connections,
        max_overflow=8,
        pool_reset_on_return="rollback",
        connect_args={
            "timeout": BUSY_TIMEOUT_SECONDS,
            "check_same_thread": False,  # the pool may close a connection from another thread than its user's
            "isolation_level": None,  # the driver begins nothing by itself; the "begin" listeners do
            "cached_statements": 256,
        },
    )

    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # a commit is on the disk when it returns: 250 rests on this
            "foreign_keys = ON",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            "journal_size_limit = 67108864",
            f"cache_size = -{cache_kib}",
            "temp_store = MEMORY",
            "secure_delete = FAST",  # Debian's default writes each page of a deleted content once more, with zeros
        ):
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", set_pragmas)
    return engine


def _postgresql(url: URL, connections: int, *, isolation_level: Any) -> Engine:
    keep_alive = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
    return create_engine(
        url,
        pool_size=connections,
        max_overflow=8,
        pool_pre_ping=True,  # a connection that died idle is replaced unseen
        isolation_level=isolation_level,
        connect_args={
            "application_name": "mailstack",
            "connect_timeout": POSTGRESQL_CONNECT_SECONDS,
            **keep_alive,
        },
    )


def _refuse_writes(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA query_only = ON")


def _begin(connection: Connection) -> None:
    _raw(connection).execute("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    # The write lock at once: a transaction that reads first and then writes could not wait for a lock that is taken.
    raw = _raw(connection)
    give_up_at = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
        else:
            return


def _poll_often(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_POLL_MILLISECONDS}")  # `_begin_immediate` asks again and again


def _raw(connection: Connection) -> sqlite3.Connection:
    raw: Any = connection.connection.dbapi_connection  # below SQLAlchemy, whose statements cost ten times as much
    return raw  # type: ignore[no-any-return]


def is_transient(error: BaseException) -> bool:
    """True when the database or the disk is at fault and not the statement: the same work may succeed later."""
    if isinstance(error, TimeoutError):
        return True
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _SQLITE_TRANSIENT
    state = _sqlstate(original)
    return state.startswith(_POSTGRESQL_TRANSIENT) or state in _POSTGRESQL_TRANSIENT_STATES or _is_lost(original)


def is_worth_another_try(error: BaseException) -> bool:
    """True for a transient error after which a fresh connection or a second run is likely to help at once.

    SQLite has already waited for its lock when it says "locked", so only PostgreSQL's errors are: a connection that
    went away while it was idle, and a transaction that was chosen to end a deadlock.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    return _is_lost(original) or _sqlstate(original).startswith(("40", "57P01"))


def explain(error: BaseException) -> str:
    """One line for the log and for `StoreTrouble`: the database's own words, without the statement and its values."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(original).split()) or type(original).__name__


def _is_lost(original: BaseException | None) -> bool:
    # The driver has no SQLSTATE to tell when the server did not get to say one.
    kind = type(original)
    return (
        kind.__module__.startswith("psycopg2")
        and kind.__name__ in {"OperationalError", "InterfaceError", "DatabaseError"}
        and not _sqlstate(original)
    )


def _sqlstate(original: BaseException | None) -> str:
    return getattr(original, "pgcode", None) or ""
