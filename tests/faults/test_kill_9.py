"""kill -9 in the middle of load, again and again: what was acknowledged is there, whole, and not twice."""

import poplib
import threading
from contextlib import suppress

import psycopg2
import pytest

from tests.faults.conftest import LOCAL, READ, REMOTE
from tests.faults.load import Load, names_of
from tests.host import Host, wait_until
from tests.sink import Sink

ROUNDS = 4


class Reader:
    """A POP3 client that fetches and deletes all the time.

    `removed` is what a QUIT's +OK said is gone; `in_doubt` was fetched and marked, and the reply to QUIT got lost.
    """

    def __init__(self, host: Host) -> None:
        self.removed: list[bytes] = []
        self.in_doubt: list[bytes] = []
        self._host = host
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.is_set():
            with suppress(poplib.error_proto, OSError):
                self._empty_maildrop()
            self._is_over.wait(0.05)

    def _empty_maildrop(self) -> None:
        session = self._host.maildrop(READ)
        mails = []
        for number in range(1, session.stat()[0] + 1):
            mails.append(b"\r\n".join(session.retr(number)[1]) + b"\r\n")
            session.dele(number)
        try:
            session.quit()
        except (poplib.error_proto, OSError):
            self.in_doubt += mails
            raise
        self.removed += mails


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.lab)])
def test_kill_9_under_load(sink: Sink, kind: str, request: pytest.FixtureRequest) -> None:
    host: Host = request.getfixturevalue(f"{kind}_host")
    host.start()
    with Load(host, [LOCAL, READ, REMOTE]) as load, Reader(host) as reader:
        for number in range(ROUNDS):
            load.wait_for_more(40 + 7 * number)
            host.kill9()
            if kind == "postgresql":
                let_leases_run_out(str(host.settings["database"]))
            host.start()
        load.wait_for_more(20)
    host.command("queue", "retry", "--all")  # else what was due while the host was down leaves over a minute
    wait_until(lambda: host.queue() == [], "an empty queue", timeout=120)
    kept, unread = names_of(host.fetch(LOCAL)), names_of(host.fetch(READ))
    read = names_of(reader.removed)
    taken = names_of([mail.content for mail in sink.taken])
    promised = set(load.promised)
    assert promised <= set(kept), "an acknowledged mail is lost"
    assert len(kept) == len(set(kept)), "a mail is there twice"
    in_doubt = names_of(reader.in_doubt)
    assert promised <= set(read) | set(unread) | set(in_doubt), "an acknowledged mail is lost to the reader"
    assert len(read + unread) == len(set(read + unread)), "a mail that was deleted came again"
    assert promised <= set(taken), "an acknowledged mail did not leave"
    assert set(taken) <= set(kept), "a mail left that was never kept"
    assert " bug " not in host.log_text()


def let_leases_run_out(url: str) -> None:
    """As if minutes had gone by: where nodes may share a database, only time tells that one of them is dead."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("UPDATE delivery SET leased_until = NULL, next_attempt_at = 1 WHERE state = 'waiting'")
        cursor.execute("UPDATE mailbox SET locked_until = 1 WHERE locked_until IS NOT NULL")
    connection.close()
