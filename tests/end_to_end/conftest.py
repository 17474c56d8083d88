"""The hosts of these tests, on SQLite and again on a real PostgreSQL; made once by the command line, then copied."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.host import Host
from tests.postgres import PostgresServer

# The names here are in no DNS, and the next hop is on loopback.
RELAY = {"outbound": {"prohibited_networks": []}, "smtp": {"check_sender_domain": False}}


def _fill_near(host: Host) -> Host:
    host.init()
    host.add_domain("example.test")
    for name in ("alice", "bob"):
        host.add_account(f"{name}@example.test")
    return host


@pytest.fixture(scope="session")
def _near_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return _fill_near(Host(tmp_path_factory.mktemp("template") / "near", "near.example.test", settings=RELAY))


@pytest.fixture(scope="session")
def _near_on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Host:
    settings = {**RELAY, "database": postgres_server.make_database()}
    return _fill_near(Host(tmp_path_factory.mktemp("template") / "near", "near.example.test", settings=settings))


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
    settings = dict(template.settings)
    server: PostgresServer | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        settings["database"] = server.make_database(str(make_url(str(settings["database"])).database))
    with template.copy(tmp_path / "near", settings) as host:
        yield host.start()
    if server is not None:
        server.drop_database(str(settings["database"]))


@pytest.fixture
def far(tmp_path: Path, near: Host, _far: Host) -> Iterator[Host]:
    """A second host with carol@far.test, the next hop of the first for that domain."""
    with _far.copy(tmp_path / "far") as host:
        near.command("domain", "add", "far.test", "--kind", "relay", "--next-hop", f"127.0.0.1:{host.ports['smtp']}")
        yield host.start()
