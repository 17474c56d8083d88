"""Memory under two loads: hundreds of open sessions that do nothing, and large mails on many connections at once.

What is counted is PSS (each page shared by n processes counts 1/n) over the server's whole process tree, so that a
process for each session and one process for all are measured alike.
"""

import socket
import threading
import time
from pathlib import Path

from benchmarks.smtp_load import LINE, LoadError, expect, open_session

MIB = 1024 * 1024


def tree_mib(root: int) -> float:
    """PSS in MiB of a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    waiting, kib = [root], 0
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        kib += _pss_kib(process)
    return kib / 1024


def with_open_sessions(root: int, address: tuple[str, int], count: int) -> float:
    """PSS in MiB with that many SMTP sessions open and idle after EHLO."""
    sessions = [open_session(address) for _ in range(count)]
    time.sleep(1)
    used = tree_mib(root)
    for session in sessions:
        session.close()
    return used


def with_large_mails(
    root: int, address: tuple[str, int], recipient: str, connections: int = 20, size: int = 50 * MIB
) -> float:
    """The highest PSS in MiB, sampled, while that many mails of that size arrive at once. Raises LoadError."""
    failures: list[Exception] = []

    def send_one() -> None:
        try:
            _send_large(address, recipient, size)
        except (OSError, LoadError) as failure:
            failures.append(failure)

    senders = [threading.Thread(target=send_one) for _ in range(connections)]
    for sender in senders:
        sender.start()
    highest = tree_mib(root)
    while any(sender.is_alive() for sender in senders):
        time.sleep(0.05)
        highest = max(highest, tree_mib(root))
    if failures:
        raise LoadError(f"{len(failures)} of {connections} large mails: {failures[0]}")
    return highest


def _send_large(address: tuple[str, int], recipient: str, size: int) -> None:
    sock: socket.socket = open_session(address)
    steps = (
        (f"MAIL FROM:<load@bench.example> SIZE={size}", b"250 "),
        (f"RCPT TO:<{recipient}>", b"250 "),
        ("DATA", b"354 "),
    )
    for command, wanted in steps:  # one by one: `expect` reads one reply
        sock.sendall(f"{command}\r\n".encode())
        expect(sock, wanted)
    header = b"From: <load@bench.example>\r\nSubject: large\r\n\r\n"
    block = LINE * (MIB // len(LINE))
    sock.sendall(header)
    left = size - len(header) - 1024  # room for the Received field, which counts against nobody's limit but might
    while left > 0:
        sock.sendall(block[:left] if left >= len(block) else block[: left // len(LINE) * len(LINE)])
        left -= len(block)
    sock.sendall(b".\r\n")
    expect(sock, b"250 ")
    sock.close()


def _pss_kib(process: int) -> int:
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
