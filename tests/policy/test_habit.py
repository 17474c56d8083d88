"""What is far beyond an account's own habit, and what is not."""

import pytest

from mailstack.policy.habit import BurstRule, Lately, login_network


@pytest.mark.parametrize(
    ("new", "busiest_day", "is_burst"),
    [
        (100, 0, False),  # the floor: nobody is frozen for as few
        (101, 0, True),
        (101, 20, True),
        (101, 21, False),  # five times its busiest day is 105
        (5000, 1000, False),  # whoever mails thousands each day may do so
        (5001, 1000, True),
    ],
)
def test_bursts(new: int, busiest_day: int, is_burst: bool) -> None:
    assert BurstRule(floor=100, factor=5).is_burst(Lately(new, busiest_day)) is is_burst


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("unknown", "unknown"),
    ],
)
def test_log_ins_come_from_networks(address: str, network: str) -> None:
    assert login_network(address) == network
