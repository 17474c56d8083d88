"""Fixtures of the whole suite: an open database of each kind, and the guards around tests that use the reactor.

`database` is an empty SQLite with all tables; `each_database` runs the test twice, on SQLite and on PostgreSQL. A
coroutine test ends after `ASYNC_TEST_SECONDS`; one that leaves delayed calls or unhandled Deferred errors behind fails
(pytest-twisted sees neither).
"""

import functools
import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import globalLogPublisher

from mailstack.store import schema
from mailstack.store.database import Database
from mailstack.store.engine import parse_url, writer_engine
from tests.postgres import NoPostgres, PostgresServer

ASYNC_TEST_SECONDS = 30
"""A test that needs longer says so: `@pytest.mark.async_seconds(120)`."""

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def _create_tables(url: str, data: Path) -> None:
    engine = writer_engine(parse_url(url, data))  # SQLite remembers its WAL mode in the file
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
        connection.execute(schema.directory_version.insert().values(id=1, version=1))
    engine.dispose()


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sqlite-template")
    _create_tables("sqlite:///template.db", folder)
    return folder / "template.db"


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a fresh SQLite database with all tables, `mailstack.db` in `tmp_path`."""
    shutil.copy(_sqlite_template, tmp_path / "mailstack.db")
    return "sqlite:///mailstack.db"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test session; the test is skipped where none can be started."""
    try:
        server = PostgresServer()
    except NoPostgres as error:
        pytest.skip(str(error))
    yield server
    server.close()


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    url = postgres_server.make_database()
    _create_tables(url, tmp_path_factory.mktemp("postgres-template"))
    return str(parse_url(url, Path()).database)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, _postgres_template: str) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database with all tables."""
    url = postgres_server.make_database(_postgres_template)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def each_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database with all tables: SQLite, then PostgreSQL."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def database(sqlite_url: str, tmp_path: Path) -> Iterator[Database]:
    """An open, empty SQLite database; its data folder is `tmp_path`."""
    database = Database.open(sqlite_url, tmp_path)
    yield database
    database.close()


@pytest.fixture
def each_database(each_url: str, tmp_path: Path) -> Iterator[Database]:
    """An open, empty database, on SQLite and on PostgreSQL."""
    database = Database.open(each_url, tmp_path)
    yield database
    database.close()


# --- tests on the reactor ---------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "async_seconds(n): a coroutine test's own time-out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each coroutine test a time-out that leaves the reactor alive for the tests after it."""
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        marker = item.get_closest_marker("async_seconds")
        seconds = marker.args[0] if marker else ASYNC_TEST_SECONDS
        hypothesis = getattr(item.obj, "hypothesis", None)
        if hypothesis is not None:
            if _is_coroutine_test(hypothesis.inner_test) or _is_coroutine_test(item.obj):
                hypothesis.inner_test = _with_timeout(hypothesis.inner_test, seconds)
        elif _is_coroutine_test(item.obj):
            item.obj = _with_timeout(item.obj, seconds)


def _is_coroutine_test(function: Any) -> bool:
    return getattr(function, "_pytest_twisted_mark", None) == "async_test"


def _with_timeout(test: Any, seconds: float) -> Any:
    @functools.wraps(test)
    async def run(*arguments: Any, **keywords: Any) -> None:
        from twisted.internet import reactor

        deferred: Deferred[None] = ensureDeferred(test(*arguments, **keywords))
        await deferred.addTimeout(seconds, reactor)  # type: ignore[arg-type]

    return run


@pytest.fixture(autouse=True)
def _nothing_left_on_the_reactor(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a coroutine test that leaves delayed calls, or Deferreds that failed with nobody to hear it."""
    if not _is_coroutine_test(getattr(request.node, "obj", None)):
        yield
        return
    from twisted.internet import reactor

    unheard: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_failure") is not None and "debugInfo" in event:  # what Deferred's __del__ logs
            unheard.append(event["log_failure"].getTraceback())

    before = set(reactor.getDelayedCalls())  # type: ignore[attr-defined]
    globalLogPublisher.addObserver(observe)
    yield
    gc.collect()
    globalLogPublisher.removeObserver(observe)
    left = [call for call in reactor.getDelayedCalls() if call not in before]  # type: ignore[attr-defined]
    for call in left:
        call.cancel()
    if left:
        pytest.fail("left on the reactor: " + "; ".join(str(call) for call in left), pytrace=False)
    if unheard:
        pytest.fail("errors in Deferreds that nobody heard:\n" + "\n".join(unheard), pytrace=False)
