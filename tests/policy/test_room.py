import pytest

from mailstack.policy.room import is_disk_low

MIB = 1 << 20


@pytest.mark.parametrize(
    ("free", "whole", "low"),
    [
        (101 * MIB, 1000 * MIB, False),
        (99 * MIB, 1000 * MIB, True),  # under a tenth
        (75 * MIB, 100 * MIB, False),
        (74 * MIB, 100 * MIB, True),  # no room for one and a half of 50 MiB
        (99_999 * MIB, 1_000_000 * MIB, True),
    ],
)
def test_a_tenth_and_one_and_a_half_of_the_largest_mail_are_kept_free(free, whole, low):
    assert is_disk_low(free, whole, 50 * MIB) is low
