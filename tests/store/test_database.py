"""Group commit: durable, isolated, and alive after trouble."""

import sqlite3
import threading
from pathlib import Path

import pytest
import pytest_twisted
from sqlalchemy import Connection, bindparam, event, select
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from mailstack.store import engine
from mailstack.store.database import Database, DatabaseUrlError, StoreTrouble
from mailstack.store.engine import parse_url
from mailstack.store.schema import directory_version, setting
from tests.postgres import PostgresServer

_INSERT = setting.insert().values(name=bindparam("name"), value="v")


def put(name: str):
    def work(connection: Connection) -> str:
        connection.execute(_INSERT, {"name": name})
        return name

    return work


def names(connection: Connection) -> list[str]:
    return sorted(connection.scalars(select(setting.c.name)))


def outcomes(coroutines) -> Deferred:
    """The results of coroutines that run at the same time; exceptions as values."""
    deferreds = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]
    return gatherResults([d.addErrback(lambda failure: failure.value) for d in deferreds])


def hold_the_writers(database: Database) -> threading.Event:
    """Keep every writer busy until the event is set, so that what is written meanwhile becomes one batch."""
    go = threading.Event()
    for _ in range(database._writers):
        Deferred.fromCoroutine(database.write(lambda _: go.wait(10))).addErrback(lambda _: None)
    return go


async def as_one_batch(database: Database, coroutines) -> list:
    database._writers = 1  # before the first use: one writer also on PostgreSQL
    await database.write(lambda _: None)
    go = hold_the_writers(database)
    waiting = outcomes(coroutines)
    go.set()
    return await waiting


@pytest_twisted.ensureDeferred
async def test_a_write_is_there_when_it_returns(each_database: Database) -> None:
    assert await each_database.write(put("a")) == "a"
    assert each_database.read_now(names) == ["a"]
    assert await each_database.read(names) == ["a"]


@pytest_twisted.ensureDeferred
async def test_a_failed_unit_fails_alone_and_leaves_nothing(each_database: Database) -> None:
    def half(connection: Connection) -> None:
        connection.execute(_INSERT, {"name": "half"})
        raise RuntimeError("no")

    results = await as_one_batch(
        each_database,
        [
            each_database.write(put("a")),
            each_database.write(half),
            each_database.write(put("a")),
            each_database.write(put("b")),
        ],
    )
    assert results[0] == "a"
    assert isinstance(results[1], RuntimeError)
    assert type(results[2]).__name__ == "IntegrityError"
    assert results[3] == "b"
    assert each_database.read_now(names) == ["a", "b"]


@pytest_twisted.ensureDeferred
async def test_a_lone_unit_that_fails_leaves_nothing(each_database: Database) -> None:
    def half(connection: Connection) -> None:
        connection.execute(_INSERT, {"name": "half"})
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await each_database.write(half)
    await each_database.write(put("after"))
    assert each_database.read_now(names) == ["after"]


@pytest_twisted.ensureDeferred
async def test_waiting_units_share_one_commit(database: Database) -> None:
    commits = []
    event.listen(database._write_engine, "commit", lambda _: commits.append(1))
    results = await as_one_batch(database, [database.write(put(f"n{number}")) for number in range(100)])
    assert len(results) == 100
    assert len(commits) <= 3  # the first one, the one that held the writer, and one for the hundred


@pytest_twisted.ensureDeferred
async def test_items_of_one_handler_are_given_together(each_database: Database) -> None:
    calls: list[list[str]] = []

    def put_all(connection: Connection, items: list[str]) -> list[str]:
        calls.append(items)
        connection.execute(_INSERT, [{"name": item} for item in items])
        return [item.upper() for item in items]

    results = await as_one_batch(
        each_database,
        [
            each_database.write_many(put_all, "x"),
            each_database.write(put("between")),
            each_database.write_many(put_all, "y"),
        ],
    )
    assert results == ["X", "between", "Y"]
    assert calls == [["x", "y"]]


@pytest_twisted.ensureDeferred
async def test_one_bad_item_of_a_handler_fails_alone(each_database: Database) -> None:
    def put_all(connection: Connection, items: list[str]) -> list[object]:
        for item in items:
            connection.execute(_INSERT, {"name": item})
        return [ValueError("refused") if item == "refused" else item for item in items]

    results = await as_one_batch(
        each_database, [each_database.write_many(put_all, name) for name in ("x", "y", "x", "z")]
    )
    assert [r if isinstance(r, str) else type(r).__name__ for r in results] == [
        "x",
        "y",
        "IntegrityError",
        "z",
    ]
    with pytest.raises(ValueError, match="refused"):
        await each_database.write_many(put_all, "refused")
    assert each_database.read_now(names) == ["x", "y", "z"]


@pytest_twisted.ensureDeferred
async def test_a_handler_that_answers_too_few_fails(each_database: Database) -> None:
    results = await as_one_batch(each_database, [each_database.write_many(lambda _c, _i: [], n) for n in range(2)])
    assert [type(r) for r in results] == [ValueError, ValueError]


@pytest_twisted.ensureDeferred
async def test_all_queries_of_a_read_see_one_moment(each_database: Database) -> None:
    inside, written = threading.Event(), threading.Event()

    def twice(connection: Connection) -> list[int]:
        query = select(directory_version.c.version)
        first = connection.scalar(query)
        inside.set()
        assert written.wait(10)
        return [first, connection.scalar(query)]

    reading = Deferred.fromCoroutine(each_database.read(twice))
    await deferToThread(inside.wait, 10)
    await each_database.write(lambda connection: connection.execute(directory_version.update().values(version=7)))
    written.set()
    assert await reading == [1, 1]


@pytest_twisted.ensureDeferred
async def test_a_reader_cannot_write(each_database: Database) -> None:
    with pytest.raises(Exception, match=r"(?i)read-?only"):
        await each_database.read(put("a"))
    assert await each_database.read(names) == []


def test_now_works_without_threads(each_database: Database) -> None:
    assert each_database.write_now(put("a")) == "a"
    with pytest.raises(ZeroDivisionError):
        each_database.write_now(lambda connection: put("b")(connection) and 1 / 0)
    assert each_database.read_now(names) == ["a"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("store-")]


@pytest_twisted.ensureDeferred
async def test_foreign_keys_and_checks_hold(each_database: Database) -> None:
    with pytest.raises(Exception, match=r"(?i)check constraint"):
        await each_database.write(
            lambda connection: connection.execute(directory_version.insert().values(id=2, version=1))
        )
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await each_database.write(
            lambda connection: connection.exec_driver_sql(
                "INSERT INTO role (administrator_id, domain_id) VALUES (1, 1)"
            )
        )


@pytest_twisted.ensureDeferred
async def test_sqlite_is_durable(database: Database) -> None:
    pragmas = await database.write(
        lambda connection: [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    )
    assert pragmas == ["wal", 2, 1]


@pytest_twisted.ensureDeferred
async def test_a_full_disk_fails_the_batch_and_passes(database: Database) -> None:
    pages: list[int] = []

    def limit(connection: Connection) -> None:
        pages.append(connection.exec_driver_sql("PRAGMA page_count").scalar() or 0)
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages[0]}")

    await database.write(limit)

    def big(connection: Connection) -> None:
        connection.execute(setting.insert().values(name="big", value="x" * 1_000_000))

    results = await as_one_batch(database, [database.write(put("a")), database.write(big)])
    assert [type(r) for r in results] == [StoreTrouble, StoreTrouble]
    assert "full" in str(results[0])
    assert database.read_now(names) == []
    await database.write(put("a"))  # a new connection knows no limit: room has been made
    assert database.read_now(names) == ["a"]


@pytest_twisted.ensureDeferred
async def test_a_lock_held_by_another_process_is_waited_for(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "mailstack.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    waiting = Deferred.fromCoroutine(database.write(put("a")))
    await deferToThread(threading.Event().wait, 0.2)
    assert not waiting.called
    other.execute("COMMIT")
    assert await waiting == "a"
    other.close()


@pytest_twisted.ensureDeferred
async def test_a_lock_that_is_never_let_go_is_trouble(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_SECONDS", 0.1)
    other = sqlite3.connect(tmp_path / "mailstack.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreTrouble, match="locked"):
        await database.write(put("a"))
    with pytest.raises(StoreTrouble, match="locked"):
        await deferToThread(database.write_now, put("a"))
    assert await database.read(names) == []  # readers do not mind
    other.execute("COMMIT")
    assert await database.write(put("a")) == "a"
    other.close()


@pytest_twisted.ensureDeferred
async def test_a_lost_postgresql_is_trouble_until_it_is_back(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    database = Database.open(postgres_url, tmp_path)
    await database.write(put("before"))
    assert await database.read(names) == ["before"]
    await deferToThread(postgres_server.stop)
    try:
        with pytest.raises(StoreTrouble):
            await database.write(put("meanwhile"))
        with pytest.raises(StoreTrouble):
            await database.read(names)
        with pytest.raises(StoreTrouble):
            await deferToThread(database.write_now, put("meanwhile"))
    finally:
        await deferToThread(postgres_server.start)
    assert await database.write(put("after")) == "after"
    assert await database.read(names) == ["after", "before"]
    await deferToThread(postgres_server.stop)
    await deferToThread(postgres_server.start)
    assert await database.write(put("restarted unseen")) == "restarted unseen"
    await deferToThread(database.close)


@pytest_twisted.ensureDeferred
async def test_a_deadlock_is_tried_again(postgres_url: str, tmp_path: Path) -> None:
    database = Database.open(postgres_url, tmp_path)
    await database.write(lambda c: c.execute(_INSERT, [{"name": "a"}, {"name": "b"}]))
    both = threading.Barrier(2, timeout=10)

    def cross(first: str, second: str):
        tries: list[int] = []

        def work(connection: Connection) -> None:
            connection.execute(setting.update().where(setting.c.name == first).values(value=first))
            if not tries:
                tries.append(1)
                both.wait()
            connection.execute(setting.update().where(setting.c.name == second).values(value=second))

        return work

    one = Deferred.fromCoroutine(database.write(cross("a", "b")))
    while not both.n_waiting:
        await deferToThread(threading.Event().wait, 0.01)
    two = Deferred.fromCoroutine(database.write(cross("b", "a")))
    await gatherResults([one, two])
    await deferToThread(database.close)


@pytest_twisted.ensureDeferred
async def test_after_close_everything_is_trouble(database: Database) -> None:
    pending = Deferred.fromCoroutine(database.write(put("a")))
    database.close()
    assert await pending == "a"
    with pytest.raises(StoreTrouble):
        await database.write(put("b"))
    with pytest.raises(StoreTrouble):
        await database.read(names)


@pytest.mark.parametrize("url", ["", "mailstack.db", "sqlite://", "sqlite:///:memory:", "mysql://x/y"])
def test_a_url_we_cannot_use_says_why(url: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUrlError, match="sqlite:///FILE"):
        parse_url(url, tmp_path)


def test_urls_are_relative_to_the_data_and_neutral_about_drivers(tmp_path: Path) -> None:
    assert parse_url("sqlite:///a.db", tmp_path).database == str(tmp_path / "a.db")
    assert parse_url("sqlite:////x/a.db", tmp_path).database == "/x/a.db"
    assert parse_url("postgresql://u@h/n", tmp_path).drivername == "postgresql+psycopg2"
