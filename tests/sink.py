"""A remote mail host in threads: takes mail and keeps it, or answers as a test tells it to.

For tests that run whole hosts as subprocesses; `tests/net/fake_mx` is its like for tests on the reactor.
"""

import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = bytes | None | Callable[["Session"], bytes | None]
"""Octets to send, None to hang up, or a function of the session that says which."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One message that got its 250."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


class ThreadedServer(socketserver.ThreadingTCPServer):
    """Serves from the start, each connection in a thread; a `with` block ends it."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: str, port: int, handler: type[socketserver.BaseRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), handler)
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def server_close(self) -> None:
        """Stop listening."""
        self.shutdown()
        super().server_close()

    def handle_error(self, *_arguments: object) -> None:
        """A client that goes in the middle is nothing to tell of."""


class Sink(ThreadedServer):
    """The host. `answers` maps a verb, `greeting` or `content` to an `Answer`."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0, answers: Mapping[str, Answer] | None = None) -> None:
        self.answers: dict[str, Answer] = dict(answers or {})
        self.taken: list[Taken] = []
        self.sessions = 0
        super().__init__(address, port, Session)


@dataclass
class _Transaction:
    sender: str = ""
    recipients: list[str] = field(default_factory=list)


class Session(socketserver.StreamRequestHandler):
    """One connection; offers no extension, so that each step is a round trip."""

    server: Sink
    transaction: _Transaction

    def handle(self) -> None:
        self.server.sessions += 1
        self.transaction = _Transaction()
        going_on = self._answer("greeting", b"220 sink\r\n")
        while going_on and (line := self.rfile.readline()):
            verb = line[:4].upper().decode("ascii", "replace")
            usual = getattr(self, f"_on_{verb.lower()}", lambda _line: b"250 ok\r\n")(line)
            going_on = self._answer(verb, usual)
            if going_on and verb == "DATA" and "DATA" not in self.server.answers:
                going_on = self._take()

    def reset(self) -> None:
        """End the connection the hard way: the other side sees a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()

    def _answer(self, key: str, usual: bytes) -> bool:
        given: Any = self.server.answers.get(key, usual)
        if callable(given):
            given = given(self)
        if given is None:
            return False
        self.wfile.write(given)
        return True

    def _take(self) -> bool:
        content = bytearray()
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            content += line.removeprefix(b".")
        if not self._answer("content", b"250 2.0.0 taken\r\n"):
            return False
        if "content" not in self.server.answers or self.server.answers["content"] == b"":
            kept = self.transaction
            self.server.taken.append(Taken(kept.sender, tuple(kept.recipients), bytes(content)))
        return True

    def _on_mail(self, line: bytes) -> bytes:
        self.transaction = _Transaction(_path(line))
        return b"250 ok\r\n"

    def _on_rcpt(self, line: bytes) -> bytes:
        self.transaction.recipients.append(_path(line))
        return b"250 ok\r\n"

    def _on_data(self, _line: bytes) -> bytes:
        return b"354 go\r\n"


def _path(line: bytes) -> str:
    return line.partition(b"<")[2].partition(b">")[0].decode()
