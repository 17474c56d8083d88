"""The web server: it answers, bounds what it takes in, and stops with requests in flight."""

import threading
import time
from collections.abc import Iterable
from http import client
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.tcp import Server
from twisted.internet.threads import deferToThread

from mailstack.net import http
from mailstack.net.http import HttpService


def ask(port: int, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST" if body is not None else "GET", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


class Application:
    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.has_begun = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            self.has_begun.set()
            self.go_on.wait(20)
        if environ["PATH_INFO"] == "/fails":
            raise RuntimeError("a secret")
        size = len(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["REMOTE_ADDR"].encode(), b" ", str(size).encode()]


class Served:
    def __init__(self) -> None:
        self.application = Application()
        self.service = HttpService(reactor, self.application)
        self.listening = reactor.listenTCP(0, self.service.factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.port = self.listening.getHost().port

    async def close(self, within: float = 5.0) -> bool:
        await self.listening.stopListening()
        return await self.service.stop(within)


async def hang_up() -> None:
    """Wait until the server has seen that its clients are gone: till then it keeps a timer for each."""
    end = time.monotonic() + 5.0
    while any(isinstance(reader, Server) for reader in reactor.getReaders()):  # type: ignore[attr-defined]
        assert time.monotonic() < end, "the server still has connections"
        await deferLater(reactor, 0.01)  # type: ignore[arg-type]


@pytest_twisted.ensureDeferred
async def test_answers() -> None:
    served = Served()
    status, body, headers = await deferToThread(ask, served.port, "/", b"12345")
    assert (status, body, headers["Server"]) == (200, b"127.0.0.1 5", "mailstack")
    assert await served.close()
    await hang_up()


@pytest_twisted.ensureDeferred
async def test_too_large_a_body_is_refused() -> None:
    served = Served()

    def push() -> int:
        connection = client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", str(http.MAX_BODY_OCTETS + 1))
        connection.endheaders()
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    assert await deferToThread(push) == 413
    assert await served.close()
    await hang_up()


@pytest_twisted.ensureDeferred
async def test_endless_chunks_are_refused() -> None:
    served = Served()

    def push() -> int:
        connection = client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        connection.putrequest("POST", "/")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        try:
            for _ in range(100):
                connection.send(b"%x\r\n" % 65536 + b"a" * 65536 + b"\r\n")
        except OSError:
            pass
        try:
            return connection.getresponse().status
        except OSError:
            return 413  # the reset overtook the reply
        finally:
            connection.close()

    assert await deferToThread(push) == 413
    assert await served.close()
    await hang_up()


@pytest_twisted.ensureDeferred
async def test_a_running_request_ends_before_the_stop() -> None:
    served = Served()
    running = deferToThread(ask, served.port, "/slow")
    await deferToThread(served.application.has_begun.wait, 10)
    reactor.callLater(0.2, served.application.go_on.set)  # type: ignore[attr-defined]
    assert await served.close()
    assert (await running)[0] == 200
    await hang_up()


@pytest_twisted.ensureDeferred
async def test_the_stop_does_not_wait_for_ever() -> None:
    served = Served()
    running = deferToThread(ask, served.port, "/slow")
    await deferToThread(served.application.has_begun.wait, 10)
    assert not await served.close(within=0.2)
    served.application.go_on.set()
    assert (await running)[0] == 200
    await hang_up()


@pytest_twisted.ensureDeferred
async def test_once_shut_it_says_so() -> None:
    served = Served()
    await served.service.stop()
    assert (await deferToThread(ask, served.port, "/"))[0] == 503
    await hang_up()
    await served.listening.stopListening()
