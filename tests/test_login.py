"""Who may log in: the wait after failures, bounded; the same road for names that exist and names that do not."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstack.login import MAX_WAITING_PER_NETWORK, LoginRefusal, Logins
from mailstack.mail.address import parse_address
from mailstack.store.directory import AccountState

HERE = "192.0.2.1"


class FakeAccount:
    def __init__(self, account_id: int, address: str, state: AccountState = AccountState.ACTIVE) -> None:
        self.id = account_id
        self.address = parse_address(address)
        self.state = state


class FakeDirectory:
    def __init__(self) -> None:
        self.accounts = {
            "alice@example.test": FakeAccount(1, "alice@example.test"),
            "old@example.test": FakeAccount(2, "old@example.test", AccountState.SUSPENDED),
            "jo@xn--exmple-cua.test": FakeAccount(3, "jo@exämple.test"),
        }

    @property
    def current(self) -> "FakeDirectory":
        return self

    def account(self, address: Any) -> FakeAccount | None:
        return self.accounts.get(address.key)


class FakePasswords:
    """Everybody's password is `right`; remembers what was verified."""

    def __init__(self) -> None:
        self.verified: list[int | None] = []

    async def verify(self, account_id: int | None, password: str) -> bool:
        self.verified.append(account_id)
        return account_id is not None and password == "right"


class Lab:
    def __init__(self) -> None:
        self.clock = Clock()
        self.directory = FakeDirectory()
        self.passwords = FakePasswords()
        self.logins = Logins(self.directory, self.passwords, self.clock)  # type: ignore[arg-type]

    def attempt(self, username: str, password: str, address: str = HERE) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.logins.attempt(username, password, address))

    def outcome(self, username: str, password: str, address: str = HERE) -> Any:
        """What it comes to once all waits are over."""
        results: list[Any] = []
        self.attempt(username, password, address).addCallback(results.append)
        self.clock.advance(100)
        return results[0]


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.mark.parametrize("name", ["alice@example.test", "ALICE@Example.Test", "alice@example.test."])
def test_the_full_address_logs_in(lab: Lab, name: str) -> None:
    assert lab.outcome(name, "right").id == 1


@pytest.mark.parametrize("name", ["jo@exämple.test", "jo@xn--exmple-cua.test"])
def test_a_domain_may_be_given_in_either_form(lab: Lab, name: str) -> None:
    assert lab.outcome(name, "right").id == 3


_NO_NAMES = ["alice", "alice+tag@example.test", "nobody@example.test", "", "@", "\udcff@x", "a" * 5000]


@pytest.mark.parametrize("name", _NO_NAMES)
def test_any_other_name_is_wrong_after_the_same_check(lab: Lab, name: str) -> None:
    assert lab.outcome(name, "right") is LoginRefusal.WRONG
    assert lab.passwords.verified == [None]


def test_a_suspended_account_is_told_so_after_the_right_password_only(lab: Lab) -> None:
    assert lab.outcome("old@example.test", "wrong") is LoginRefusal.WRONG
    assert lab.outcome("old@example.test", "right") is LoginRefusal.SUSPENDED
    check = Deferred.fromCoroutine(lab.logins.check("old@example.test", "right", HERE))
    assert check.result is None


@pytest.mark.parametrize("name", ["alice@example.test", "nobody@example.test"])
def test_failures_make_the_next_check_wait(lab: Lab, name: str) -> None:
    for _ in range(4):
        lab.attempt(name, "wrong")
        lab.clock.advance(1)
    waiting = lab.attempt(name, "right")
    assert len(lab.passwords.verified) == 4
    assert not waiting.called
    lab.clock.advance(2)
    assert waiting.called


def test_in_the_end_nothing_is_checked(lab: Lab) -> None:
    for _ in range(40):
        lab.logins.disproven("alice@example.test", HERE)
    assert lab.outcome("alice@example.test", "right") is LoginRefusal.TOO_MANY_FAILURES
    assert lab.passwords.verified == []
    lab.clock.advance(3600)
    assert lab.outcome("alice@example.test", "right").id == 1


def test_only_so_many_wait_for_one_address(lab: Lab) -> None:
    for _ in range(5):
        lab.logins.disproven("alice@example.test", HERE)
    waits = [lab.attempt("alice@example.test", "wrong") for _ in range(MAX_WAITING_PER_NETWORK + 2)]
    assert [wait.called for wait in waits] == [False] * MAX_WAITING_PER_NETWORK + [True] * 2
    assert waits[-1].result is LoginRefusal.TOO_MANY_FAILURES
    assert lab.passwords.verified == []
    lab.clock.advance(20)
    assert all(wait.called for wait in waits)


def test_scram_counts_as_passwords_do(lab: Lab) -> None:
    for _ in range(4):
        lab.logins.disproven("alice@example.test", HERE)
    assert lab.logins.delay_before("alice@example.test", HERE) == 2
    assert lab.logins.proven("alice@example.test", HERE).id == 1  # type: ignore[union-attr]
    assert lab.logins.delay_before("alice@example.test", HERE) == 0
    assert lab.logins.proven("nobody@example.test", HERE) is LoginRefusal.WRONG
