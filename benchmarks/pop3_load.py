"""The POP3 load: sessions that fetch a whole maildrop one by one or pipelined, and sessions that only poll.

Each process runs one session on a blocking socket over TLS, as a mail client does. Logging in is done before the clock
starts; what is timed is RETR 1 to the last octet of the last mail.
"""

import multiprocessing
import socket
import ssl
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier

END = b"\r\n.\r\n"
WINDOW = 50
"""Pipelined commands in flight: enough to hide the way, little enough that neither side's buffers fill."""

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # made once: reading the system's authorities costs more than a session
TLS.check_hostname = False
TLS.verify_mode = ssl.CERT_NONE

Address = tuple[str, int]
Login = tuple[str, str]


class Pop3Error(Exception):
    """The server refused what a benchmark relied on; carries its words."""


class Session:
    """A logged-in session over implicit TLS."""

    def __init__(self, address: Address, login: Login) -> None:
        plain = socket.create_connection(address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = TLS.wrap_socket(plain)
        self._line()
        self.command(f"USER {login[0]}")
        self.command(f"PASS {login[1]}")

    def command(self, line: str) -> bytes:
        """Send one command, return its one-line reply. Raises Pop3Error for -ERR."""
        self._sock.sendall(line.encode() + b"\r\n")
        reply = self._line()
        if not reply.startswith(b"+OK"):
            raise Pop3Error(f"{line.partition(' ')[0]}: {reply!r}")
        return reply

    def count(self) -> int:
        return int(self.command("STAT").split()[1])

    def fetch_one_by_one(self, count: int) -> None:
        receive, send = self._sock.recv, self._sock.sendall
        for number in range(1, count + 1):
            send(b"RETR %d\r\n" % number)
            received = receive(65536)
            while not received.endswith(END):
                received += receive(65536)

    def fetch_pipelined(self, count: int) -> None:
        """RETR in windows: a new window goes out while the second half of the last is still on its way."""
        done, sent, tail = 0, 0, b""
        while done < count:
            if sent < count and sent - done <= WINDOW // 2:
                batch = range(sent + 1, min(sent + WINDOW, count) + 1)
                self._sock.sendall(b"".join(b"RETR %d\r\n" % number for number in batch))
                sent += len(batch)
            received = tail + self._sock.recv(262144)
            done += received.count(END)
            tail = b"" if received.endswith(END) else received[-4:]

    def quit(self) -> None:
        self.command("QUIT")
        self._sock.close()

    def _line(self) -> bytes:
        received = b""
        while not received.endswith(b"\r\n"):
            more = self._sock.recv(65536)
            if not more:
                raise Pop3Error("the server closed the connection")
            received += more
        return received


def retrieve(address: Address, logins: list[Login], mails: int, pipelined: bool) -> float:
    """All sessions at once, one process each; seconds from the common start to the end of the last."""

    def work(login: Login, start: Barrier) -> None:
        session = Session(address, login)
        if session.count() < mails:
            raise Pop3Error(f"{login[0]} has {session.count()} mails, not {mails}")
        start.wait()
        (session.fetch_pipelined if pipelined else session.fetch_one_by_one)(mails)
        start.wait()
        session.quit()

    return _together(work, logins)


def poll(address: Address, logins: list[Login], times: int) -> float:
    """Each account connects, logs in, asks STAT and quits, `times` over; seconds for all."""

    def work(login: Login, start: Barrier) -> None:
        start.wait()
        for _ in range(times):
            session = Session(address, login)
            session.count()
            session.quit()
        start.wait()

    return _together(work, logins)


def _together(work: Callable[[Login, Barrier], None], logins: list[Login]) -> float:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(len(logins) + 1)
    workers = [context.Process(target=work, args=(login, start), daemon=True) for login in logins]
    for worker in workers:
        worker.start()
    start.wait(timeout=120)
    began = time.perf_counter()
    start.wait(timeout=300)
    seconds = time.perf_counter() - began
    for worker in workers:
        worker.join(timeout=30)
    if any(worker.exitcode for worker in workers):
        raise Pop3Error("a session failed, its words are above")
    return seconds
