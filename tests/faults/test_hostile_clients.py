"""Clients that mean no good, against a running host: each has a bound in time and memory, and others are served on."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.memory import tree_mib
from tests.host import Host, letter, wait_until

ALICE = "alice@example.test"
SECONDS = 3
MIB = 1 << 20
FLOOD_MIB = 48
MAY_TAKE_MIB = 24
PER_ADDRESS = 10


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host of little patience; at the end it must have taken no harm."""
    patience = f"{SECONDS}s"
    bounds = {"max_connections_per_address": PER_ADDRESS}
    settings = {
        "smtp": {
            "command_timeout": patience,
            "data_timeout": patience,
            "max_message_size": MIB,
            "hard_errors": 7,
            **bounds,
        },
        "pop3": {"idle_timeout": patience, **bounds},
    }
    with Host(tmp_path_factory.mktemp("hostile") / "host", settings=settings).init() as host:
        host.add_domain("example.test")
        host.add_account(ALICE)
        yield host.start()
        host.submit(ALICE, [ALICE], letter(ALICE, ALICE))
        host.wait_for_mail(ALICE)
        assert " bug " not in host.log_text()
        assert host.stop() == 0


def connect(host: Host, service: str, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host.address, host.ports[service]), timeout=30, source_address=(source, 0))


def memory_of(host: Host) -> float:
    assert host.process is not None
    return tree_mib(host.process.pid)


def assert_ended(client: socket.socket) -> None:
    """The host closes by itself, or cuts; a minute is a busy machine's 3 seconds."""
    client.settimeout(60)
    with contextlib.suppress(ConnectionError):
        while client.recv(MIB):
            pass


GREETED = b"EHLO a\r\nMAIL FROM:<a@[127.0.0.1]>\r\nRCPT TO:<alice@example.test>\r\n"


@pytest.mark.parametrize(
    ("service", "flood"),
    [
        ("smtp", b"NOOP\r\n" * 10_000),
        ("smtp", b"x" * 65_536),
        ("smtp", b"EHLO a\r\n" * 10_000),
        ("smtp", GREETED + b"RCPT TO:<alice@example.test>\r\n" * 2000),
        ("smtp", GREETED + b"DATA\r\n" + b"x" * 65_536),
        ("smtp", GREETED + b"BDAT 999999999 LAST\r\n" + b"x" * 65_536),
        ("submission", b"AUTH PLAIN " + b"x" * 65_536),
        ("pop3", b"CAPA\r\n" * 10_000),
        ("pop3", b"x" * 65_536),
        ("submissions", b"\x16\x03\x01\x02\x00" + b"x" * 65_536),
        ("pop3s", b"x" * 65_536),
    ],
    ids=["noop", "endless line", "ehlo", "rcpt", "data", "bdat", "auth", "capa", "pop3 line", "tls", "pop3s"],
)
def test_a_flood_from_a_client_that_reads_nothing_takes_no_memory_and_ends(
    host: Host, service: str, flood: bytes
) -> None:
    before = highest = memory_of(host)
    with connect(host, service) as client:
        client.settimeout(0.5)
        with contextlib.suppress(OSError):  # it takes no more, or has had enough
            for _ in range(FLOOD_MIB * MIB // len(flood)):
                client.sendall(flood)
                highest = max(highest, memory_of(host))
        assert max(highest, memory_of(host)) - before < MAY_TAKE_MIB
        assert_ended(client)


@pytest.mark.parametrize("service", ["smtp", "submissions", "pop3", "pop3s"])
def test_silence_ends(host: Host, service: str) -> None:
    with connect(host, service) as client:
        assert_ended(client)


def test_one_address_has_its_share_and_others_theirs(host: Host) -> None:
    with contextlib.ExitStack() as open_now:
        for _ in range(PER_ADDRESS):
            assert open_now.enter_context(connect(host, "smtp")).recv(4) == b"220 "
        with connect(host, "smtp") as refused:
            assert refused.makefile("rb").read().startswith(b"421 4.7.0 too many connections from your address")
        with connect(host, "smtp", "127.0.0.2") as welcome:
            assert welcome.recv(4) == b"220 "
        host.submission(ALICE).quit()  # our own people's bound is another


def test_a_host_without_descriptors_turns_away_and_serves_on(tmp_path: Path) -> None:
    with Host(tmp_path / "host", settings={"smtp": {"max_connections_per_address": 500}}).init() as host:
        host.add_domain("example.test")
        host.add_account(ALICE)
        host.start(before=["prlimit", "--nofile=100:100"])
        with contextlib.ExitStack() as open_now:
            for _ in range(200):
                open_now.enter_context(connect(host, "smtp"))
            wait_until(lambda: "EMFILE" in host.log_text(), "the log says that descriptors are out")
            used = cpu_seconds(host)
            time.sleep(2)
            assert cpu_seconds(host) - used < 1, "it spins"
        assert "connections are turned away" in host.log_text()
        assert host.log_text().count("EMFILE") < 5
        assert "100 may be open, all connections of the config want" in host.log_text()
        host.submit(ALICE, [ALICE], letter(ALICE, ALICE))
        host.wait_for_mail(ALICE)
        assert host.stop() == 0


def cpu_seconds(host: Host) -> float:
    assert host.process is not None
    fields = Path(f"/proc/{host.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
