"""`/healthz`: 200 while the database commits, 503 with the reason for who may know it."""

import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from mailstack.operations.health import SILENT_SECONDS, Health
from mailstack.store.database import StoreTrouble
from tests.host import Host, free_ports, wait_until


class Database:
    """Takes what it is given, or fails."""

    def __init__(self) -> None:
        self.why: str | None = None

    async def write(self, work: Callable[[Any], Any]) -> None:
        if self.why:
            raise StoreTrouble(self.why)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(database: Database, clock: Clock) -> Health:
    return Health(database, clock.seconds)  # type: ignore[arg-type]


def test_before_the_first_commit_it_is_starting(health: Health) -> None:
    assert health.trouble() == "it is starting"


@pytest_twisted.ensureDeferred
async def test_a_commit_is_health_and_a_failure_is_told_until_the_next(health: Health, database: Database) -> None:
    await health.look()
    assert health.trouble() is None
    database.why = "the disk is full"
    await health.look()
    assert health.trouble() == "the disk is full"
    database.why = None
    await health.look()
    assert health.trouble() is None


@pytest_twisted.ensureDeferred
async def test_the_log_tells_a_failure_once(
    health: Health, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr("mailstack.maillog.trouble", lambda what, why: told.append((what, str(why))))
    database.why = "the disk is full"
    await health.look()
    await health.look()
    assert told == [("health", "the disk is full")]


@pytest_twisted.ensureDeferred
async def test_a_commit_that_does_not_come_is_trouble(health: Health, clock: Clock) -> None:
    await health.look()
    clock.advance(SILENT_SECONDS)
    assert health.trouble() is None
    clock.advance(1)
    assert health.trouble() == f"the database has not answered for {SILENT_SECONDS + 1:.0f} s"


def ask(port: int) -> tuple[int, str, HTTPMessage]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(tmp_path / "host").init() as host:
        host.ports["metrics"] = free_ports(1)[0]
        host.write_config()
        yield host.start()


def test_a_running_host_says_so_and_strangers_hear_no_reason(host: Host) -> None:
    for service in ("http", "metrics"):
        status, text, headers = wait_until(lambda at=service: well(host.ports[at]), f"200 of {service}")  # type: ignore[misc]
        assert (status, text, headers["Cache-Control"]) == (200, "ok\n", "no-store")
    with closing(sqlite3.connect(host.folder / "mailstack.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # a program that keeps the database to itself
        wait_until(
            lambda: ask(host.ports["metrics"])[0] == 503, "503 while nothing is committed", timeout=90, every=0.5
        )
        assert ask(host.ports["metrics"])[1].startswith("not ready: ")
        assert ask(host.ports["http"])[:2] == (503, "not ready\n")
    for service in ("http", "metrics"):
        wait_until(lambda at=service: well(host.ports[at]), f"200 of {service} again", timeout=90, every=0.5)  # type: ignore[misc]
    assert host.stop() == 0


def well(port: int) -> tuple[int, str, HTTPMessage] | None:
    answer = ask(port)
    return answer if answer[0] == 200 else None
