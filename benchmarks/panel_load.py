"""The panel of a host that has grown: how long each page takes, and what mail flow loses while pages are loaded.

50,000 accounts, 100,000 queued deliveries (`big_host`). Pages are asked for one after the other by a superadministrator
and by a domain's administrator, over plain HTTP on loopback.
"""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import smtp_load
from benchmarks.big_host import fill
from mailstack.management import administrators, sessions, sign_in
from mailstack.management.actor import COMMAND_LINE
from mailstack.management.acts import make_hashes
from mailstack.store.database import Connection, Database
from tests.host import Host

PASSWORD = "bench-password"
COOKIE = "mailstack_session"
ACCOUNTS, DELIVERIES = 50_000, 100_000
MAILS, SESSIONS, SIZE = 2_000, 20, 4096
PAGES = {
    "home": "/home",
    "domains": "/domains/",
    "accounts": "/accounts/",
    "accounts, searched": "/accounts/?search=person00042",
    "an account": "/accounts/person00042@d042.example",
    "aliases": "/aliases/",
    "limits": "/limits/",
    "queue": "/queue/",
    "queue, what is held": "/queue/?state=held",
    "queue, one sender": "/queue/?sender=person00042@d042.example",
    "queue, by destination": "/queue/destinations",
    "where is my mail": "/trace/?search=person00042@d042.example",
    "audit": "/audit/",
}
LOOKING = {"somebody opens a page each second": 1.0, "pages are asked for without a pause": 0.0}
"""Seconds between two pages."""
PEOPLE = {"root": (), "olga": ("d042.example",)}


def measure(folder: Path, runs: int) -> str:
    """Two tables: milliseconds of each page, and mails accepted a second without and with pages being loaded."""
    with _big_host(folder / "host") as (host, cookies):
        times = {name: [_page(host, cookies[who], path, runs) for who in PEOPLE] for name, path in PAGES.items()}
        mail = {name: _mail_beside_pages(host, cookies["root"], runs, pause) for name, pause in LOOKING.items()}
    rows = [f"{ACCOUNTS:,} accounts, {DELIVERIES:,} queued deliveries; each page asked for at least 5 times.", ""]
    rows += ["| page (ms) | superadministrator | administrator of one domain |", "| --- | ---: | ---: |"]
    rows += [f"| {name} | {' | '.join(_spread(found) for found in both)} |" for name, both in times.items()]
    rows += ["", "| mail to mailboxes, 20 sessions, while | pages/s | mails/s | nobody looks | ratio |"]
    rows += ["| --- | ---: | ---: | ---: | ---: |"]
    for name, (alone, beside, loaded) in mail.items():
        ratios = [b / a for a, b in zip(alone, beside, strict=True)]
        cells = (f"{median(loaded):.1f}", _spread(beside), _spread(alone), f"**{_spread(ratios, 2)}**")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


@contextmanager
def _big_host(folder: Path) -> Iterator[tuple[Host, dict[str, str]]]:
    host = Host(folder, hostname="mx.bench.example")
    host.settings = {"smtp": {"check_sender_domain": False, "max_connections_per_address": 100}}
    host.init()
    database = Database.open("sqlite:///mailstack.db", folder)
    try:
        database.write_now(
            lambda connection: fill(connection, accounts=ACCOUNTS, deliveries=DELIVERIES, password=PASSWORD)
        )
        cookies = database.write_now(_sign_in)
    finally:
        database.close()
    with host.start(timeout=120):
        _settle(host)
        yield host, cookies


def _settle(host: Host) -> None:
    """Wait until the host has done what it does once after its start with so much: count events, read the directory."""
    assert host.process is not None
    calm = 0
    while calm < 3:
        before = _cpu_ticks(host.process.pid)
        time.sleep(1)
        calm = calm + 1 if _cpu_ticks(host.process.pid) - before < 10 else 0


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


def _sign_in(connection: Connection) -> dict[str, str]:
    hashed = make_hashes(PASSWORD).hash
    cookies = {}
    for name, domains in PEOPLE.items():
        administrators.add(connection, COMMAND_LINE, name, hashed, domains)
        found = sign_in.find_person(connection, name)
        assert found is not None
        cookies[name] = sessions.open_session(connection, found[0], "127.0.0.1", "a benchmark")
    return cookies


def _get(connection: http.client.HTTPConnection, cookie: str, path: str) -> None:
    connection.request("GET", path, headers={"Cookie": f"{COOKIE}={cookie}"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path} answers {answer.status}")


def _page(host: Host, cookie: str, path: str, runs: int) -> list[float]:
    connection = http.client.HTTPConnection(host.address, host.ports["http"], timeout=60)
    _get(connection, cookie, path)
    found = []
    for _ in range(max(5, runs)):
        began = time.perf_counter()
        _get(connection, cookie, path)
        found.append((time.perf_counter() - began) * 1000)
    connection.close()
    return found


def _mail_beside_pages(
    host: Host, cookie: str, runs: int, pause: float
) -> tuple[list[float], list[float], list[float]]:
    alone, beside, loaded = [], [], []
    for _ in range(runs):
        alone.append(_accept(host))
        with _pages_going(host, cookie, pause) as count:
            began = time.perf_counter()
            beside.append(_accept(host))
            loaded.append(count() / (time.perf_counter() - began))
    return alone, beside, loaded


def _accept(host: Host) -> float:
    boxes = [f"person{number:05}@d{number:03}.example" for number in range(10)]
    return MAILS / smtp_load.load((host.address, host.ports["smtp"]), SESSIONS, MAILS, SIZE, boxes)


@contextmanager
def _pages_going(host: Host, cookie: str, pause: float) -> Iterator[Callable[[], int]]:
    """One browser that asks for page after page; gives how many it has had."""
    ended = threading.Event()
    had = [0]

    def go() -> None:
        connection = http.client.HTTPConnection(host.address, host.ports["http"], timeout=60)
        while not ended.is_set():
            for path in PAGES.values():
                if not ended.is_set():
                    _get(connection, cookie, path)
                    had[0] += 1
                    ended.wait(pause)
        connection.close()

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield lambda: had[0]
    finally:
        ended.set()
        thread.join()


def _spread(values: list[float], digits: int = 0) -> str:
    return f"{median(values):,.{digits}f} [{min(values):,.{digits}f}–{max(values):,.{digits}f}]"
