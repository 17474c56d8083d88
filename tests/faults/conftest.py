"""A host with a database of either kind, whose mail for far.test goes to a sink."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import Host
from tests.postgres import NoPostgres, PostgresServer
from tests.sink import Sink

SETTINGS: dict[str, object] = {
    "outbound": {"prohibited_networks": []},  # the sink is on loopback
    "smtp": {"check_sender_domain": False, "soft_errors": 10_000, "hard_errors": 10_000},
    "queue": {"retry": ["1s"]},
}
LOCAL, READ, REMOTE = "bob@example.test", "reader@example.test", "carol@far.test"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


def make_host(folder: Path, sink: Sink, settings: dict[str, object]) -> Host:
    """Made, not started."""
    host = Host(folder, settings={**SETTINGS, **settings}).init()
    host.add_domain("example.test")
    host.command("domain", "add", "far.test", "--kind", "relay", "--next-hop", f"127.0.0.1:{sink.port}")
    for address in (LOCAL, READ):
        host.add_account(address)
    return host


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of this test's own, to be stopped in the middle."""
    try:
        server = PostgresServer()
    except NoPostgres as error:
        pytest.skip(str(error))
    yield server
    server.close()
