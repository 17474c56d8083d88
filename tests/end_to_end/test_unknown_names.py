"""Whether an account exists is not to be found out: SCRAM salts of unknown names last, over services and starts."""

import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import Host

KNOWN, UNKNOWN = "alice@example.test", "nobody@example.test"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(tmp_path / "host").init() as host:
        host.add_domain("example.test")
        host.add_account(KNOWN)
        yield host.start()


def challenge(host: Host, service: str, name: str) -> dict[str, str]:
    """What the server's first message of SCRAM-SHA-256 says besides the nonce: salt and iterations."""
    first = base64.b64encode(f"n,,n={name},r=abcdefghijklmnop".encode()).decode()
    with (
        socket.create_connection((host.address, host.ports[service]), timeout=30) as plain,
        host.tls().wrap_socket(plain, server_hostname=host.address) as client,
        client.makefile("rb") as replies,
    ):
        replies.readline()
        if service == "submissions":
            client.sendall(b"EHLO client.example.net\r\n")
            while replies.readline()[3:4] == b"-":
                pass
        client.sendall(f"AUTH SCRAM-SHA-256 {first}\r\n".encode())
        said = base64.b64decode(replies.readline().split()[1]).decode()
    return dict(part.split("=", 1) for part in said.split(",") if part[0] != "r")


def test_salts_of_unknown_names_last_as_those_of_known_ones_do(host: Host) -> None:
    before = {name: challenge(host, "submissions", name) for name in (KNOWN, UNKNOWN)}
    assert before[KNOWN].keys() == before[UNKNOWN].keys() == {"s", "i"}
    assert before[KNOWN]["i"] == before[UNKNOWN]["i"]
    assert len(before[KNOWN]["s"]) == len(before[UNKNOWN]["s"])
    for name in (KNOWN, UNKNOWN):
        assert challenge(host, "pop3s", name) == before[name]
    assert host.stop() == 0
    host.start()
    for name in (KNOWN, UNKNOWN):
        for service in ("submissions", "pop3s"):
            assert challenge(host, service, name) == before[name]
