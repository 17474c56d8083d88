"""`python -m benchmarks`: every measure, side by side in alternating runs, as a table on stdout."""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import memory, panel_load, pop3_load, smtp_load
from benchmarks.report import Measure, table
from benchmarks.sides import LOCAL_DOMAIN, PASSWORD, POP3_USERS, RELAY_DOMAIN, Sides, boxes
from tests.host import Host, wait_until
from tests.lab.peers import PROGRAMS, missing_package

SIZE = 4096
POP3_MAILS = 1000
POLLS = 25
Address = tuple[str, int]


def main() -> None:
    options = _options()
    absent = [PROGRAMS[name] for name in ("postfix", "dovecot") if missing_package(name)]
    if absent:
        sys.exit(f"make bench: install {' and '.join(absent)} first (make lab does), and run it as root")
    measures: list[Measure] = []
    busy = os.getloadavg()[0]
    with Sides() as sides:
        for name, measure in MEASURES.items():
            if options.only and name not in options.only:
                continue
            began = time.monotonic()
            measures += measure(sides, options.runs)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    found = [table(measures)] if measures else []
    if not options.only or "panel" in options.only:
        with tempfile.TemporaryDirectory(prefix="bench-panel-") as folder:
            found.append(f"## The panel of a host that has grown\n\n{panel_load.measure(Path(folder), options.runs)}")
    text = _page("\n\n".join(found), options.runs, busy)
    print(text)
    if options.write:
        options.write.write_text(text)


def accept_to_mailbox(sides: Sides, runs: int) -> list[Measure]:
    """From the first octet to the last mail in its box, and to the last 250."""
    found = []
    for sessions, mails in ((20, 4000), (1, 600)):
        kept = Measure(f"accept to mailbox, {_sessions(sessions)}", "Postfix virtual(8)", "mails/s")
        said = Measure(f"… until the last 250, {_sessions(sessions)}", "Postfix smtpd(8)", "mails/s")
        for _ in range(runs):
            ours = _load(_ours(sides.ours), sessions, mails, boxes())
            accepted, delivered = _into_postfix_boxes(sides, sessions, mails)
            kept.add(mails / ours, mails / delivered)
            said.add(mails / ours, mails / accepted)
        found += [kept, said]
    return found


def _into_postfix_boxes(sides: Sides, sessions: int, mails: int) -> tuple[float, float]:
    """Seconds to the last 250 and to the last mail in its box: Postfix queues before it delivers."""
    wanted, began = sides.postfix_delivered() + mails, time.perf_counter()
    accepted = _load(_postfix(sides), sessions, mails, boxes())
    wait_until(lambda: sides.postfix_delivered() >= wanted, "Postfix delivers", 300, every=0.02)
    return accepted, time.perf_counter() - began


def accept_to_remote(sides: Sides, runs: int) -> list[Measure]:
    """From the first octet in to the last mail at the remote sink, for a domain whose backup MX both are."""
    mails, sessions = 3000, 20
    measure = Measure(f"accept to remote, {_sessions(sessions)}", "Postfix smtp(8)", "mails/s")

    def relay(address: Address) -> float:
        before, began = sides.sink.count(), time.perf_counter()
        _load(address, sessions, mails, [f"someone@{RELAY_DOMAIN}"])
        sides.sink.wait_for(before + mails)
        return mails / (time.perf_counter() - began)

    for _ in range(runs):
        measure.add(relay(_ours(sides.ours)), relay(_postfix(sides)))
    return [measure]


def pop3(sides: Sides, runs: int) -> list[Measure]:
    """Eight sessions over TLS, a thousand mails each; then eight clients that only ask whether there is mail."""
    content = smtp_load.make_content(SIZE, 1)
    for user in POP3_USERS:
        sides.dovecot.fill(user, content, POP3_MAILS)
    ours = (sides.ours.address, sides.ours.ports["pop3s"])
    theirs = ("127.0.0.1", sides.dovecot.ports["pop3s"])
    addresses = [f"{user}@{LOCAL_DOMAIN}" for user in POP3_USERS]
    _load(_ours(sides.ours), 20, POP3_MAILS * len(addresses), addresses)
    our_logins = [(address, PASSWORD) for address in addresses]
    their_logins = [(user, PASSWORD) for user in POP3_USERS]
    total = POP3_MAILS * len(POP3_USERS)
    single = Measure("POP3 over TLS, 8 sessions, one by one", "Dovecot", "mails/s")
    piped = Measure("POP3 over TLS, 8 sessions, pipelined", "Dovecot", "mails/s")
    polls = Measure("POP3 over TLS, 8 clients poll", "Dovecot", "sessions/s")
    pop3_load.retrieve(theirs, their_logins, POP3_MAILS, pipelined=True)  # Dovecot builds its index at the first log-in
    for _ in range(runs):
        for measure, pipelined in ((single, False), (piped, True)):
            measure.add(
                total / pop3_load.retrieve(ours, our_logins, POP3_MAILS, pipelined),
                total / pop3_load.retrieve(theirs, their_logins, POP3_MAILS, pipelined),
            )
        polls.add(
            POLLS * 8 / pop3_load.poll(ours, our_logins, POLLS),
            POLLS * 8 / pop3_load.poll(theirs, their_logins, POLLS),
        )
    return [single, piped, polls]


def memory_bounds(sides: Sides, _runs: int) -> list[Measure]:
    """Whole process trees; once, since it does not vary."""
    process = sides.ours.process
    assert process is not None
    idle = Measure("memory, idle", "Postfix", "MiB", less_is_better=True)
    idle.add(memory.tree_mib(process.pid), memory.tree_mib(sides.postfix.master_pid()))
    smtp = Measure("memory, 500 SMTP sessions open", "Postfix", "MiB", less_is_better=True)
    smtp.add(
        memory.with_open_sessions(process.pid, _ours(sides.ours), 500),
        memory.with_open_sessions(sides.postfix.master_pid(), _postfix(sides), 500),
    )
    large = Measure("memory, 20 mails of 50 MiB at once", "Postfix", "MiB, highest", less_is_better=True)
    large.add(
        memory.with_large_mails(process.pid, _ours(sides.ours), boxes()[0]),
        memory.with_large_mails(sides.postfix.master_pid(), _postfix(sides), boxes()[0]),
    )
    return [idle, smtp, large]


MEASURES: dict[str, Callable[[Sides, int], list[Measure]]] = {
    "in": accept_to_mailbox,
    "out": accept_to_remote,
    "pop3": pop3,
    "memory": memory_bounds,
}


def _load(address: Address, sessions: int, mails: int, recipients: list[str]) -> float:
    return smtp_load.load(address, sessions, mails, SIZE, recipients)


def _ours(host: Host) -> Address:
    return host.address, host.ports["smtp"]


def _postfix(sides: Sides) -> Address:
    return sides.postfix.address, sides.postfix.port


def _sessions(count: int) -> str:
    return f"{count} session{'s' if count > 1 else ''}"


def _page(found: str, runs: int, busy: float) -> str:
    machine = f"{os.cpu_count()} cores of {platform.machine()}, Linux {platform.release()}"
    return f"""# Benchmarks

Made by `make bench` on {datetime.now(UTC):%Y-%m-%d}: {machine}, Python {platform.python_version()}.
Servers and load share the machine, whose load average was {busy:.1f} before. Mails of {SIZE} octets.
{runs} alternating runs: median [lowest–highest]; ratios are taken run by run.

{found}
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="alternating runs of each measure")
    parser.add_argument("--only", action="append", choices=[*MEASURES, "panel"], help="may be repeated")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page there too (docs/BENCHMARKS.md)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
