"""How failures slow log-ins down, and how that fades."""

import pytest

from mailstack.policy.slowdown import FailureCounts, Slowdown, SlowdownRules, network_of

ALICE, BOB = "alice@example.test", "bob@example.test"
HERE, THERE = "192.0.2.1", "198.51.100.7"


def fail(slowdown: Slowdown, times: int, account: str = ALICE, address: str = HERE, now: float = 0.0) -> None:
    for _ in range(times):
        slowdown.note_failure(account, address, now)


def test_a_few_failures_are_free_then_each_doubles_the_wait() -> None:
    slowdown = Slowdown()
    waits = []
    for _ in range(9):
        waits.append(slowdown.delay(ALICE, HERE, 0.0))
        fail(slowdown, 1)
    assert waits == [0, 0, 0, 1, 2, 4, 8, 15, 15]


def test_far_beyond_nothing_is_checked() -> None:
    slowdown = Slowdown()
    fail(slowdown, 30)
    assert slowdown.delay(ALICE, HERE, 0.0) is None


def test_it_fades() -> None:
    slowdown = Slowdown()
    fail(slowdown, 30)
    assert slowdown.delay(ALICE, HERE, 600.0) == 15
    assert slowdown.delay(ALICE, HERE, 3600.0) == 0


def test_it_counts_by_address_over_accounts_and_by_account_over_addresses() -> None:
    by_address, by_account = Slowdown(), Slowdown()
    for number in range(5):
        fail(by_address, 1, account=f"user{number}@example.test")
        fail(by_account, 1, address=f"203.0.113.{number}")
    assert by_address.delay(BOB, HERE, 0.0) == 4
    assert by_address.delay(BOB, THERE, 0.0) == 0
    assert by_account.delay(ALICE, THERE, 0.0) == 4


def test_a_stranger_who_guesses_does_not_lock_the_owner_out() -> None:
    slowdown = Slowdown()
    slowdown.note_success(ALICE, HERE)
    fail(slowdown, 100, address=THERE)
    assert slowdown.delay(ALICE, HERE, 0.0) == 0
    assert slowdown.delay(ALICE, THERE, 0.0) is None
    fail(slowdown, 5, address=HERE)
    assert slowdown.delay(ALICE, HERE, 0.0) == 4


def test_success_with_one_account_does_not_clear_the_address_for_others() -> None:
    slowdown = Slowdown()
    fail(slowdown, 30)
    slowdown.note_success(BOB, HERE)
    assert slowdown.delay(ALICE, HERE, 0.0) is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_address_counts_as_its_64(address: str, network: str) -> None:
    assert network_of(address) == network


def test_memory_is_bounded() -> None:
    counts = FailureCounts(600, remembered=10)
    for number in range(100):
        counts.add(str(number), 0.0)
    assert [number for number in range(100) if counts.count(str(number), 0.0)] == list(range(90, 100))
    slowdown = Slowdown(SlowdownRules(remembered=4))
    for number in range(6):
        slowdown.note_success(f"a{number}@example.test", HERE)
    fail(slowdown, 30, account="x@example.test")
    assert slowdown.delay("a0@example.test", HERE, 0.0) is None
    assert slowdown.delay("a5@example.test", HERE, 0.0) == 0
