"""SIGTERM with sessions in every state: nobody new, running transactions end, 421 to the rest, nothing lost, exit 0."""

import socket
import ssl
import time
from collections.abc import Iterator
from email.policy import SMTP
from pathlib import Path

import pytest

from tests.host import Host, letter, wait_until

ALICE = "alice@example.test"
BOB = "bob@client.example.net"
GRACE_SECONDS = 4
POST = b"POST /sign-in HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    settings = {"smtp": {"shutdown_grace": f"{GRACE_SECONDS}s", "check_sender_domain": False}}
    with Host(tmp_path / "host", settings=settings).init() as host:
        host.add_domain("example.test")
        host.add_account(ALICE)
        yield host.start()


class Client:
    """A plain connection to the inbound port, up to some point of a session."""

    def __init__(self, host: Host) -> None:
        self.socket = socket.create_connection((host.address, host.ports["smtp"]), timeout=30)
        self.file = self.socket.makefile("rb")
        self.expect(b"220 ")

    def expect(self, code: bytes) -> None:
        line = self.file.readline()
        while line[3:4] == b"-":
            line = self.file.readline()
        assert line.startswith(code), line

    def say(self, line: bytes, code: bytes) -> "Client":
        self.socket.sendall(line + b"\r\n")
        self.expect(code)
        return self

    def begin_content(self) -> "Client":
        self.say(b"EHLO client.example.net", b"250 ").say(f"MAIL FROM:<{BOB}>".encode(), b"250 ")
        self.say(f"RCPT TO:<{ALICE}>".encode(), b"250 ").say(b"DATA", b"354 ")
        self.socket.sendall(b"Subject: half\r\n")
        return self

    def expect_end(self) -> None:
        assert self.file.readline() == b""
        self.file.close()
        self.socket.close()


def is_refused(host: Host) -> bool:
    try:
        socket.create_connection((host.address, host.ports["smtp"]), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_ends_each_session_as_it_deserves(host: Host) -> None:
    with host.mx() as session:
        session.sendmail(BOB, [ALICE], letter(BOB, ALICE).as_bytes(policy=SMTP))
    maildrop = host.maildrop(ALICE)
    maildrop.dele(1)
    idle, ends, stalls = Client(host), Client(host).begin_content(), Client(host).begin_content()
    shaking = socket.create_connection((host.address, host.ports["submissions"]), timeout=30)
    shaking.sendall(b"\x16\x03\x01")  # the first octets of a handshake that never goes on
    browsers = [socket.create_connection((host.address, host.ports["http"]), timeout=30) for _ in range(3)]
    for browser, request in zip(browsers, (b"", b"GET / HTTP/1.1\r\nHost: a\r\n", POST + b"half"), strict=True):
        browser.sendall(request)
    process = host.process
    assert process is not None
    began = time.monotonic()
    process.terminate()

    idle.expect(b"421 4.3.2")
    idle.expect_end()
    wait_until(lambda: is_refused(host), "nobody listens")
    process.terminate()  # nobody is hurried by a second one
    assert process.poll() is None
    ends.say(b"\r\nthe other half\r\n.", b"250 2.0.0 accepted as")
    ends.expect(b"421 4.3.2")
    ends.expect_end()
    stalls.expect(b"421 4.3.2")
    stalls.expect_end()
    assert time.monotonic() - began >= GRACE_SECONDS - 0.5
    assert process.wait(30) == 0
    for client in (shaking, *browsers):
        client.close()
    with pytest.raises((OSError, EOFError, ssl.SSLError)):
        maildrop.noop()

    host.process = None
    host.start()
    assert len(host.fetch(ALICE)) == 2, "the one marked as deleted without QUIT, and the one that ended in time"
    assert " bug " not in host.log_text()
    assert host.stop() == 0
