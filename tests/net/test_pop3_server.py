"""POP3 on a transport: one open question, back-pressure, time-outs, drops and the end of the host."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailstack.config import Pop3
from mailstack.net.bounds import ConnectionBounds
from mailstack.net.pop3_server import LET_GO, LINGER, Pop3Server, Pop3ServerFactory
from mailstack.pop3.questions import LoggedIn, Refused
from tests.dialogs.runner import assert_said, dialogs, read_dialog
from tests.net.transport import Transport
from tests.pop3.world import PASSWORD, USER, FakeVisit

LOGIN = f"USER {USER}\r\nPASS {PASSWORD}\r\n".encode()
IDLE = Pop3().idle_timeout.total_seconds()


class Lab:
    """A server on a transport in memory."""

    def __init__(self, visit: Any = None, *, implicit_tls: bool = True, **settings: Any) -> None:
        self.clock = Clock()
        self.visit = visit or FakeVisit()
        self.bugs: list[Failure] = []
        self.bounds = ConnectionBounds(2, 2)
        self.factory = Pop3ServerFactory(
            lambda address: self.visit,
            Pop3(**settings),
            tls_options=object(),
            implicit_tls=implicit_tls,
            bounds=self.bounds,
            clock=self.clock,  # type: ignore[arg-type]
            on_bug=lambda what, failure: self.bugs.append(failure),
        )
        self.transport, self.protocol = self.connect()

    def connect(self) -> tuple[Transport, Pop3Server]:
        transport, protocol = Transport(), self.factory.buildProtocol(None)  # type: ignore[arg-type]
        protocol.makeConnection(transport)
        return transport, protocol

    def send(self, data: bytes) -> bytes:
        self.transport.clear()
        self.protocol.dataReceived(data)
        return self.transport.value()


@pytest.fixture
def lab() -> Any:
    lab = Lab()
    yield lab
    assert lab.bugs == []


@pytest.mark.parametrize("path", dialogs("pop3"), ids=lambda path: path.stem)
def test_dialog(path: Any) -> None:
    dialog = read_dialog(path)
    lab = Lab(implicit_tls=dialog.settings.get("tls") != "off")
    assert_said(lab.transport.value().decode().splitlines(), dialog.turns[0].lines)
    for turn in dialog.turns[1:]:
        assert_said(lab.send(turn.sent).decode().splitlines(), turn.lines)


def test_replies_to_pipelined_commands_leave_in_one_write(lab: Lab) -> None:
    lab.send(LOGIN + b"RETR 1\r\n")
    lab.transport.writes = 0
    assert lab.send(b"RETR 2\r\nRETR 3\r\nSTAT\r\n").count(b"+OK") == 3
    assert lab.transport.writes == 1


def test_stls_starts_tls_and_forgets_what_was_behind_it() -> None:
    lab = Lab(implicit_tls=False)
    assert lab.send(b"STLS\r\n" + LOGIN) == b"+OK Begin TLS negotiation\r\n"
    assert lab.transport.tls == 1
    assert lab.send(b"STAT\r\n").startswith(b"-ERR Log in first")
    assert lab.send(LOGIN).count(b"+OK") == 2


class SlowVisit(FakeVisit):
    """Each log-in, fetch and commit waits for `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go: Deferred[None] = Deferred()

    async def log_in(self, username: str, password: str) -> LoggedIn | Refused:
        await self.go
        return await super().log_in(username, password)

    async def commit(self) -> bool:
        await self.go
        return await super().commit()


def test_commands_wait_for_the_open_question() -> None:
    lab = Lab(visit := SlowVisit())
    assert lab.send(LOGIN + b"STAT\r\n") == b"+OK Now the password\r\n"
    visit.go.callback(None)
    assert lab.transport.value().endswith(b"+OK 3 162\r\n")


def test_a_connection_lost_while_logging_in_frees_the_maildrop() -> None:
    lab = Lab(visit := SlowVisit())
    lab.send(LOGIN)
    lab.protocol.connectionLost()
    assert visit.closed == 0
    visit.go.callback(None)
    assert (visit.closed, visit.maildrop) == (1, None)
    assert len(lab.factory.connections) == 0


def test_a_dropped_connection_deletes_nothing_and_frees_the_maildrop(lab: Lab) -> None:
    lab.send(LOGIN + b"DELE 1\r\nDELE 2\r\n")
    lab.protocol.connectionLost()
    assert len(lab.visit.messages) == 3
    assert (lab.visit.committed, lab.visit.closed) == (0, 1)


def test_a_connection_lost_behind_quit_still_deletes() -> None:
    visit = SlowVisit()
    visit.go.callback(None)
    lab = Lab(visit)
    lab.send(LOGIN + b"DELE 1\r\n")
    visit.go = Deferred()
    lab.send(b"QUIT\r\n")
    lab.protocol.connectionLost()
    visit.go.callback(None)
    assert set(visit.messages) == {2, 3}


def test_silence_closes_without_deleting(lab: Lab) -> None:
    lab.send(LOGIN + b"DELE 1\r\n")
    lab.clock.advance(IDLE - 1)
    lab.send(b"NOOP\r\n")
    lab.clock.advance(2)
    assert not lab.transport.disconnecting
    lab.clock.advance(IDLE)
    assert lab.transport.disconnecting
    assert (lab.visit.committed, lab.visit.closed) == (0, 1)
    assert len(lab.visit.messages) == 3


def test_octets_now_and_then_keep_no_session_alive(lab: Lab) -> None:
    lab.send(LOGIN)
    for octet in b"NOOP":
        lab.send(bytes([octet]))
        lab.clock.advance(IDLE / 4 + 1)
    assert lab.transport.disconnecting


def test_who_has_not_logged_in_by_then_is_closed_whatever_he_says(lab: Lab) -> None:
    for _ in range(4):
        assert lab.send(b"CAPA\r\n").startswith(b"+OK")
        lab.clock.advance(IDLE / 4 + 1)
    assert lab.transport.disconnecting


def test_a_handshake_that_stalls_ends() -> None:
    lab = Lab(implicit_tls=True)
    lab.clock.advance(IDLE + 1)
    lab.clock.advance(LINGER.total_seconds())
    assert lab.transport.aborted


def test_who_does_not_read_is_not_served_and_in_the_end_aborted(lab: Lab) -> None:
    lab.send(LOGIN)
    lab.transport.room = 1000
    said = lab.send(b"LIST\r\n" * 20_000)
    assert len(said) < 300_000
    lab.protocol.resumeProducing()
    assert len(lab.transport.value()) > len(said)
    lab.clock.advance(IDLE + 1)
    assert lab.transport.aborted


def test_who_floods_is_not_read() -> None:
    visit = SlowVisit()
    lab = Lab(visit)
    lab.send(LOGIN)
    lab.send(b"NOOP\r\n" * 10_000)
    assert lab.transport.producerState == "paused"
    visit.go.callback(None)
    assert lab.transport.producerState == "producing"


def test_a_large_message_leaves_block_by_block_at_the_clients_pace() -> None:
    content = b"Subject: large\r\n\r\n" + b".x" * 50_000 + b"\r\n"
    visit = FakeVisit((content,))
    visit.large = True
    lab = Lab(visit)
    lab.send(LOGIN)
    lab.transport.room = 8000
    lab.send(b"RETR 1\r\nSTAT\r\n")
    received = b""
    for _ in range(100):
        assert len(lab.transport.value()) < 20_000
        received += lab.transport.value()
        lab.transport.clear()
        lab.protocol.resumeProducing()
    assert received == b"+OK %d octets\r\n%b.\r\n+OK 1 %d\r\n" % (
        len(content),
        content.replace(b"\n.", b"\n.."),
        len(content),
    )
    assert lab.send(b"TOP 1 0\r\n") == b"+OK Top of message follows\r\nSubject: large\r\n\r\n.\r\n"


def test_a_client_that_leaves_within_a_large_message_frees_the_maildrop() -> None:
    visit = FakeVisit((b"Subject: large\r\n\r\n" + b"x" * 50_000,))
    visit.large = True
    lab = Lab(visit)
    lab.send(LOGIN)
    lab.transport.room = 1000
    lab.send(b"RETR 1\r\n")
    lab.protocol.connectionLost()
    assert visit.closed == 1
    assert lab.bugs == []


class BrokenDisk(FakeVisit):
    async def blocks(self, number: int) -> AsyncIterator[bytes]:
        yield b"Subject: x\r\n"
        raise OSError("the disk is gone")


def test_half_a_message_never_looks_like_a_whole_one() -> None:
    visit = BrokenDisk()
    visit.large = True
    lab = Lab(visit)
    lab.send(LOGIN)
    assert not lab.send(b"RETR 1\r\n").endswith(b".\r\n")
    assert lab.transport.aborted
    assert visit.committed == 0
    assert [failure.type for failure in lab.bugs] == [OSError]


class BrokenVisit(FakeVisit):
    async def log_in(self, username: str, password: str) -> LoggedIn | Refused:
        raise ZeroDivisionError


def test_a_bug_of_ours_is_told_to_the_log_and_not_to_the_client() -> None:
    lab = Lab(BrokenVisit())
    assert lab.send(LOGIN + b"CAPA\r\n").splitlines()[1] == b"-ERR [SYS/TEMP] Not possible just now, try again later"
    assert [failure.type for failure in lab.bugs] == [ZeroDivisionError]


def test_too_many_connections_are_refused(lab: Lab) -> None:
    second = lab.connect()
    third, protocol = lab.connect()
    assert third.value().startswith(b"-ERR [SYS/TEMP] Too many connections")
    assert third.disconnecting
    protocol.connectionLost()
    second[1].connectionLost()
    assert lab.connect()[0].value().startswith(b"+OK")


def test_what_does_not_drain_after_the_end_is_aborted(lab: Lab) -> None:
    lab.send(b"QUIT\r\n")
    assert lab.transport.disconnecting
    lab.clock.advance(LINGER.total_seconds())
    assert lab.transport.aborted


def test_shutdown_lets_a_commit_end() -> None:
    visit = SlowVisit()
    visit.go.callback(None)
    lab = Lab(visit)
    lab.send(LOGIN + b"DELE 1\r\n")
    lab.visit = FakeVisit()
    idle, idle_protocol = lab.connect()
    visit.go = Deferred()
    lab.send(b"QUIT\r\n")
    done = Deferred.fromCoroutine(lab.factory.shutdown(timedelta(seconds=30)))
    assert idle.disconnecting
    assert not lab.transport.disconnecting
    idle_protocol.connectionLost()
    visit.go.callback(None)
    assert lab.transport.disconnecting
    assert lab.transport.value() == b"+OK Bye\r\n"
    lab.protocol.connectionLost()
    assert done.called
    assert set(visit.messages) == {2, 3}


def test_shutdown_is_bounded() -> None:
    lab = Lab(SlowVisit())
    lab.send(LOGIN)
    done = Deferred.fromCoroutine(lab.factory.shutdown(timedelta(seconds=30)))
    lab.clock.advance(31)
    assert lab.transport.aborted
    lab.clock.advance(LET_GO.total_seconds())
    assert done.called
