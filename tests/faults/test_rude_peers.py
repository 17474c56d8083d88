"""Remote hosts that stall, reset, talk garbage or hang up after the dot: deferred in plain words, then delivered."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import LOCAL, PATIENT, TO_LOOPBACK
from tests.host import Host, free_ports, wait_until
from tests.sink import Answer, Session, Sink

PORT = free_ports(1)[0]
"""Each peer has an address of its own, and all have this port."""


@pytest.fixture
def host(tmp_path: Path, _on_sqlite: Host) -> Iterator[Host]:
    settings = {"outbound": {**TO_LOOPBACK, "port": PORT}, "smtp": {**PATIENT, "shutdown_grace": "2s"}}
    with _on_sqlite.copy(tmp_path / "host", settings) as host:
        yield host.start()


def reset(session: Session) -> None:
    session.reset()


RUDENESS: dict[str, tuple[dict[str, Answer], str]] = {
    "hangs up at once": ({"greeting": None}, "was lost while we waited for"),
    "resets at once": ({"greeting": reset}, "4.4."),
    "greets with garbage": ({"greeting": b"\x00\xff\xfe garbage\r\n"}, ""),
    "greets without end": ({"greeting": b"220-" + b"x" * 100_000}, ""),
    "is not an SMTP server": ({"greeting": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, ""),
    "is busy": ({"greeting": b"421 4.3.2 come back later\r\n"}, "421 4.3.2 come back later"),
    "refuses EHLO and HELO": ({"EHLO": b"451 not you\r\n", "HELO": b"451 not you\r\n"}, "451 not you"),
    "hangs up at MAIL": ({"MAIL": None}, "was lost while we waited for"),
    "resets at RCPT": ({"RCPT": reset}, "was lost while we waited for"),
    "answers RCPT with garbage": ({"RCPT": b"\x80\x81\x82\r\n"}, ""),
    "hangs up at DATA": ({"DATA": None}, "was lost while we waited for"),
    "hangs up after the dot": ({"content": None}, "was lost while we waited for"),
    "resets after the dot": ({"content": reset}, "was lost while we waited for"),
    "answers the dot with garbage": ({"content": b"mail? what mail?\r\n"}, ""),
    "defers after the dot": ({"content": b"452 4.3.1 no room today\r\n"}, "452 4.3.1 no room today"),
}


def test_rude_peers_get_their_mail_once_they_behave(host: Host) -> None:
    addresses = {rudeness: f"127.0.1.{number}" for number, rudeness in enumerate(RUDENESS, 1)}
    with ExitStack() as stack:
        peers = {
            rudeness: stack.enter_context(Sink(address, PORT, RUDENESS[rudeness][0]))
            for rudeness, address in addresses.items()
        }
        ids = {rudeness: host.submit(LOCAL, [f"carol@[{address}]"]) for rudeness, address in addresses.items()}
        rows: dict[str, dict[str, Any]] = {}

        def all_deferred() -> bool:
            rows.update({row["message"]: row for row in host.queue()})
            assert rows.keys() == set(ids.values()), "none has ended"
            return all(row["last_reply"] for row in rows.values())

        wait_until(all_deferred, "a deferral by each", timeout=90)
        for rudeness, (_, words) in RUDENESS.items():
            said = rows[ids[rudeness]]["last_reply"]
            assert words in said, f"a peer that {rudeness}"
            assert said.startswith("4"), f"a peer that {rudeness}"
        for peer in peers.values():
            peer.answers = {}
        host.command("queue", "retry", "--all")
        wait_until(lambda: host.queue() == [], "an empty queue", timeout=90)
        taken = {rudeness: [mail.recipients for mail in peer.taken] for rudeness, peer in peers.items()}
        assert taken == {rudeness: [(f"carol@[{address}]",)] for rudeness, address in addresses.items()}
    assert host.fetch(LOCAL) == [], "no bounce"
    assert " bug " not in host.log_text()


def test_a_peer_that_stalls_delays_no_other(host: Host) -> None:
    is_over = threading.Event()

    def stall(_session: Session) -> None:
        is_over.wait(120)

    with Sink("127.0.1.1", PORT, {"greeting": stall}) as stalling, Sink("127.0.1.2", PORT) as other:
        for number in range(30):
            host.submit(LOCAL, [f"carol{number}@[127.0.1.1]"])
        wait_until(lambda: stalling.sessions > 0, "a connection to the host that stalls")
        host.submit(LOCAL, ["carol@[127.0.1.2]"])
        wait_until(lambda: other.taken, "mail for the other host", timeout=10)
        assert len(host.queue()) == 30
        assert host.stop() == 0, "nor does it keep us from ending"
        is_over.set()
