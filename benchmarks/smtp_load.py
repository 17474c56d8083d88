"""The SMTP load: many sessions in one process on plain sockets and epoll, so that the client is not what is measured.

Each session sends mail after mail on one connection: MAIL, RCPT and DATA in one write (RFC 2920), then the content,
then the next. `python -m benchmarks.smtp_load` sends to a sink of its own and tells what the client alone can do.
"""

import argparse
import itertools
import select
import socket
import time
from collections.abc import Iterator
from multiprocessing import get_context

from benchmarks.smtp_sink import Sink

LINE = b"It was a bright cold day in April, and the clocks were striking thirteen.\r\n"


class LoadError(Exception):
    """The server refused what a benchmark relied on; carries its words."""


def make_content(size_octets: int, number: int) -> bytes:
    """A mail of that many octets, CRLF lines, without a line that begins with a dot."""
    header = (
        b"From: Load <load@bench.example>\r\nTo: You <you@bench.example>\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
        b"Message-ID: <%d.%d@bench.example>\r\nSubject: number %d\r\n\r\n" % (time.time_ns(), number, number)
    )
    body = LINE * ((size_octets - len(header)) // len(LINE) + 1)
    return header + body[: size_octets - len(header) - 2] + b"\r\n"


class _Session:
    """One connection: `take(reply)` says what to send next, b"" to wait on, None at the end."""

    def __init__(self, sock: socket.socket, letters: Iterator[tuple[bytes, bytes]]) -> None:
        self.sock = sock
        self._letters = letters
        self._content = b""
        self._received = b""
        self._in_data = False

    def take(self, received: bytes) -> bytes | None:
        self._received += received
        if not self._received.endswith(b"\r\n"):
            return b""
        last = self._received.rfind(b"\r\n", 0, -2) + 2 if self._received.count(b"\n") > 1 else 0
        code = self._received[last : last + 4]
        if code[3:4] == b"-" or (not self._in_data and code in (b"250 ", b"251 ")):
            return b""
        wanted = b"250 " if self._in_data else b"354 "
        if code != wanted:
            raise LoadError(self._received.decode(errors="replace"))
        self._received = b""
        return self._next(self._in_data)

    def _next(self, accepted: bool) -> bytes | None:
        self._in_data = not accepted
        if not accepted:
            return self._content
        letter = next(self._letters, None)
        if letter is None:
            return None
        envelope, self._content = letter
        return envelope

    def begin(self) -> bytes | None:
        return self._next(True)


def run_sessions(
    address: tuple[str, int], sessions: int, messages: int, size_octets: int, recipients: list[str]
) -> None:
    """Send `messages` mails over `sessions` persistent connections. Raises LoadError."""
    letters = _letters(messages, size_octets, recipients)
    poller = select.epoll()
    running: dict[int, _Session] = {}
    for _ in range(sessions):
        session = _Session(open_session(address), letters)
        first = session.begin()
        if first is None:
            session.sock.close()
            continue
        running[session.sock.fileno()] = session
        poller.register(session.sock, select.EPOLLIN)
        session.sock.sendall(first)
    while running:
        for fileno, _event in poller.poll():
            session = running[fileno]
            received = session.sock.recv(65536)
            if not received:
                raise LoadError("the server closed the connection")
            answer = session.take(received)
            if answer:
                session.sock.sendall(answer)
            elif answer is None:
                del running[fileno]
                poller.unregister(session.sock)
                session.sock.sendall(b"QUIT\r\n")
                session.sock.close()
    poller.close()


def load(
    address: tuple[str, int],
    sessions: int,
    messages: int,
    size_octets: int,
    recipients: list[str],
    processes: int = 1,
) -> float:
    """Run the load in other processes; seconds until the last 250. Raises LoadError."""
    context = get_context("fork")
    share = (address, sessions // processes, messages // processes, size_octets, recipients)
    workers = [context.Process(target=run_sessions, args=share) for _ in range(processes)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise LoadError("a load process failed, its words are above")
    return time.perf_counter() - began


def _letters(messages: int, size_octets: int, recipients: list[str]) -> Iterator[tuple[bytes, bytes]]:
    content = make_content(size_octets, 0) + b".\r\n"
    in_turn = itertools.cycle(recipients)
    for _ in range(messages):
        yield (
            f"MAIL FROM:<load@bench.example> SIZE={size_octets}\r\nRCPT TO:<{next(in_turn)}>\r\nDATA\r\n".encode(),
            content,
        )


def open_session(address: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    expect(sock, b"220 ")
    sock.sendall(b"EHLO load.bench.example\r\n")
    expect(sock, b"250 ")
    return sock


def expect(sock: socket.socket, code: bytes) -> None:
    received = b""
    while not (received.endswith(b"\r\n") and received.splitlines()[-1].startswith(code)):
        more = sock.recv(65536)
        received += more
        if not more or received[:3] != code[:3]:
            raise LoadError(received.decode(errors="replace"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    with Sink() as sink:
        seconds = load(sink.address, options.sessions, options.messages, 4096, ["you@bench.example"], options.processes)
    print(f"{options.messages / seconds:,.0f} mails/s against a sink that keeps nothing")


if __name__ == "__main__":
    main()
