"""The hosts of these tests, on SQLite and again on a real PostgreSQL; made once by the command line, then copied."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import Host, Settings
from tests.postgres import PostgresServer

# The names here are in no DNS, and the next hop is on loopback.
RELAY = {"outbound": {"prohibited_networks": []}, "smtp": {"check_sender_domain": False}}


def _make_near(folder: Path, settings: Settings) -> Host:
    host = Host(folder / "near", "near.example.test", settings=settings).init()
    host.add_domain("example.test")
    for name in ("alice", "bob"):
        host.add_account(f"{name}@example.test")
    return host


@pytest.fixture(scope="session")
def _near_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return _make_near(tmp_path_factory.mktemp("template"), RELAY)


@pytest.fixture(scope="session")
def _near_on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Host:
    return _make_near(tmp_path_factory.mktemp("template"), {**RELAY, "database": postgres_server.make_database()})


@pytest.fixture(scope="session")
def _far(tmp_path_factory: pytest.TempPathFactory) -> Host:
    host = Host(tmp_path_factory.mktemp("template") / "far", "far.example.test", settings=RELAY).init()
    host.add_domain("far.test")
    host.add_account("carol@far.test")
    return host


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.lab)])
def near(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A host with alice@ and bob@example.test."""
    template: Host = request.getfixturevalue(f"_near_on_{request.param}")
    settings: dict[str, object] = {}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        settings["database"] = server.copy_database(str(template.settings["database"]))
    with template.copy(tmp_path / "near", settings) as host:
        yield host.start()


@pytest.fixture
def far(tmp_path: Path, near: Host, _far: Host) -> Iterator[Host]:
    """A second host with carol@far.test, the next hop of the first for that domain."""
    with _far.copy(tmp_path / "far") as host:
        near.command("domain", "add", "far.test", "--kind", "relay", "--next-hop", f"127.0.0.1:{host.ports['smtp']}")
        yield host.start()
