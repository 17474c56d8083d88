"""The answers to the POP3 server's questions, over a store in memory."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from mailstack import maillog
from mailstack.config import Pop3
from mailstack.login import LoginRefusal
from mailstack.pop3.questions import AtHand, Large, LoggedIn, Offers, Refused
from mailstack.pop3.replies import Code
from mailstack.retrieval import Retrieval
from mailstack.store.engine import StoreTrouble
from mailstack.store.mailboxes import KeptMessage, OpenRefusal
from tests.pop3.world import run_now

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class FakeDomain:
    def __init__(self, expire_days: int | None = None, login_delay_seconds: int | None = None) -> None:
        self.expire_days = expire_days
        self.login_delay_seconds = login_delay_seconds


class FakeAccount:
    id = 7
    address = "alice@example.test"

    def __init__(self) -> None:
        self.domain = FakeDomain()


class World:
    """Log-ins, mailboxes and the directory at once."""

    def __init__(self) -> None:
        self.account = FakeAccount()
        self.outcome: Any = self.account
        self.opened: Any = [(11, 20, "a"), (12, 500_000, "b"), (13, 20, "c")]
        self.kept = {
            11: KeptMessage(11, b"P: 1\r\n", b"\r\n.one\r\nxxx\r\n", None, 14),
            12: KeptMessage(12, b"P: 2\r\n", None, "file", 499_994),
            13: KeptMessage(13, b"P: 3\r\n", b"\r\nthree\r\nxx\r\n", None, 14),
        }
        self.trouble = False
        self.removed: list[int] = []
        self.closed = 0
        self.reads: list[list[int]] = []
        self.domains = [self.account.domain]
        self.current = self

    async def attempt(self, username: str, password: str, address: str) -> Any:
        self.check_trouble()
        return self.outcome

    async def open(self, account_id: int, now: datetime, delay: timedelta) -> Any:
        self.check_trouble()
        return self.opened

    async def read(self, entry_ids: list[int]) -> dict[int, KeptMessage]:
        self.check_trouble()
        self.reads.append(entry_ids)
        return {entry_id: self.kept[entry_id] for entry_id in entry_ids if entry_id in self.kept}

    def stored(self, message: KeptMessage) -> "World":
        return self

    async def chunks(self) -> Any:
        if self.trouble:
            raise OSError("no such file")
        yield b"block"
        yield b"another"

    async def remove(self, account_id: int, entry_ids: list[int]) -> None:
        self.check_trouble()
        self.removed += entry_ids

    async def close(self, account_id: int) -> None:
        self.closed += 1
        self.check_trouble()

    def check_trouble(self) -> None:
        if self.trouble:
            raise StoreTrouble("the disk is full")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    stream = StringIO()
    monkeypatch.setattr(maillog, "_stream", stream)
    return stream


def retrieval(world: World, settings: Pop3 = Pop3()) -> Retrieval:  # noqa: B008
    return Retrieval(world, world, world, settings, lambda: NOW)  # type: ignore[arg-type]


def logged_in(world: World) -> tuple[Any, Any]:
    visit = retrieval(world).visit("192.0.2.1")
    welcome = run_now(visit.log_in("alice@example.test", "secret"))
    assert isinstance(welcome, LoggedIn)
    return visit, welcome.maildrop


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (LoginRefusal.WRONG, Code.AUTH),
        (LoginRefusal.SUSPENDED, Code.AUTH),
        (LoginRefusal.TOO_MANY_FAILURES, Code.AUTH),
    ],
)
def test_a_refused_login_has_its_code_and_its_log_line(world: World, outcome: Any, code: Code, log: StringIO) -> None:
    world.outcome = outcome
    refused = run_now(retrieval(world).visit("192.0.2.1").log_in("alice@example.test", "secret"))
    assert refused.code is code
    assert "login-failed" in log.getvalue()
    assert "secret" not in log.getvalue()


@pytest.mark.parametrize(
    ("opened", "code"), [(OpenRefusal.IN_USE, Code.IN_USE), (OpenRefusal.TOO_SOON, Code.LOGIN_DELAY)]
)
def test_a_maildrop_that_does_not_open(world: World, opened: OpenRefusal, code: Code) -> None:
    world.opened = opened
    visit = retrieval(world).visit("192.0.2.1")
    assert run_now(visit.log_in("alice@example.test", "secret")).code is code
    run_now(visit.close())
    assert world.closed == 0


def test_trouble_is_temporary_everywhere(world: World, log: StringIO) -> None:
    visit, maildrop = logged_in(world)
    world.trouble = True
    assert run_now(retrieval(world).visit("").log_in("a@example.test", "x")).code is Code.SYS_TEMP
    assert run_now(visit.fetch(1)).code is Code.SYS_TEMP
    maildrop.delete(1)
    assert run_now(visit.commit()) is False
    run_now(visit.close())
    assert world.closed == 1
    assert log.getvalue().count("trouble") >= 4


def test_one_query_brings_a_window_without_large_messages(world: World) -> None:
    visit, maildrop = logged_in(world)
    assert run_now(visit.fetch(1)) == AtHand()
    assert world.reads == [[11, 13]]
    assert maildrop.window == {
        1: b"+OK 20 octets\r\nP: 1\r\n\r\n..one\r\nxxx\r\n.\r\n",
        3: b"+OK 20 octets\r\nP: 3\r\n\r\nthree\r\nxx\r\n.\r\n",
    }


def test_a_message_in_a_file_comes_in_blocks_behind_its_prefix(world: World) -> None:
    visit, _ = logged_in(world)
    large = run_now(visit.fetch(2))
    assert isinstance(large, Large)
    assert large.size_octets == 500_000
    assert run_now(anext(large.blocks)) == b"P: 2\r\nblock"
    assert run_now(anext(large.blocks)) == b"another"


def test_a_file_that_cannot_be_read_is_temporary_trouble(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    visit, _ = logged_in(world)
    monkeypatch.setattr(world, "check_trouble", lambda: None)
    world.trouble = True
    assert run_now(visit.fetch(2)).code is Code.SYS_TEMP


def test_a_message_that_is_gone_is_refused(world: World) -> None:
    visit, _ = logged_in(world)
    del world.kept[13]
    assert isinstance(run_now(visit.fetch(3)), Refused)


def test_quit_removes_and_lets_go_once(world: World, log: StringIO) -> None:
    visit, maildrop = logged_in(world)
    maildrop.delete(1)
    assert run_now(visit.commit()) is True
    run_now(visit.close())
    assert (world.removed, world.closed) == ([11], 0)
    assert "deleted=1" in log.getvalue()


def test_quit_with_nothing_deleted_writes_nothing(world: World) -> None:
    visit, _ = logged_in(world)
    assert run_now(visit.commit()) is True
    assert (world.removed, world.closed) == ([], 1)


def test_a_drop_removes_nothing(world: World) -> None:
    visit, maildrop = logged_in(world)
    maildrop.delete(1)
    run_now(visit.close())
    assert (world.removed, world.closed) == ([], 1)


def test_offers_are_the_domains_or_the_settings(world: World) -> None:
    settings = Pop3(expire=60, login_delay=timedelta(seconds=5))
    shared = retrieval(world, settings)
    assert shared.offers(FakeDomain()) == Offers(60, 5)  # type: ignore[arg-type]
    assert shared.offers(FakeDomain(0, 0)) == Offers(0, 0)  # type: ignore[arg-type]
    assert shared.general_offers() == Offers(60, 5)


def test_before_login_the_shortest_expiry_and_the_longest_delay_are_told(world: World) -> None:
    world.domains = [FakeDomain(30, 10), FakeDomain(7, 600), FakeDomain()]
    assert retrieval(world).general_offers() == Offers(7, 600, differ=True)
