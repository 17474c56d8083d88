"""Hosts to do harm to, on SQLite or PostgreSQL; their mail for far.test goes to a sink. Made once, then copied."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import Host, Settings, free_ports
from tests.postgres import PostgresServer
from tests.sink import Sink

PATIENT = {"check_sender_domain": False, "soft_errors": 10_000, "hard_errors": 10_000}
"""As `[smtp]`: the senders here are in no DNS, and go on after any number of refusals."""
TO_LOOPBACK: dict[str, object] = {"prohibited_networks": []}
"""As `[outbound]`."""
SETTINGS: Settings = {"outbound": TO_LOOPBACK, "smtp": PATIENT, "queue": {"retry": ["1s"]}}
LOCAL, READ, REMOTE = "bob@example.test", "reader@example.test", "carol@far.test"
SINK_PORT = free_ports(1)[0]


@pytest.fixture
def sink() -> Iterator[Sink]:
    """The next hop for far.test."""
    with Sink(port=SINK_PORT) as sink:
        yield sink


def _make_template(folder: Path, settings: Settings) -> Host:
    host = Host(folder / "host", settings=settings).init()
    host.add_domain("example.test")
    host.command("domain", "add", "far.test", "--kind", "relay", "--next-hop", f"127.0.0.1:{SINK_PORT}")
    for address in (LOCAL, READ):
        host.add_account(address)
    return host


@pytest.fixture(scope="session")
def _on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return _make_template(tmp_path_factory.mktemp("template"), SETTINGS)


@pytest.fixture(scope="session")
def _on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Host:
    return _make_template(
        tmp_path_factory.mktemp("template"), {**SETTINGS, "database": postgres_server.make_database()}
    )


@pytest.fixture
def sqlite_host(tmp_path: Path, _on_sqlite: Host) -> Iterator[Host]:
    """Not started yet."""
    with _on_sqlite.copy(tmp_path / "host") as host:
        yield host


@pytest.fixture
def postgresql_host(tmp_path: Path, _on_postgresql: Host, postgres_server: PostgresServer) -> Iterator[Host]:
    """Not started yet."""
    settings = {"database": postgres_server.copy_database(str(_on_postgresql.settings["database"]))}
    with _on_postgresql.copy(tmp_path / "host", settings) as host:
        yield host


@pytest.fixture
def stoppable_postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, running again when the test is over."""
    yield postgres_server
    postgres_server.start()
