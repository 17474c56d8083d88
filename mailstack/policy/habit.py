"""Whether an account does something far beyond its own habit: the mark of a password that somebody else has.

Pure. An account is measured by the busiest day of its last two weeks; a floor lets small numbers pass, whatever the
habit, so that a new account or a quiet one is not frozen for a birthday invitation. Neighbours: `store/habits` reads
the facts, `reception/watch` acts.
"""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

BURST = timedelta(hours=1)
"""What is new in this time is compared with the habit: soon enough to stop a burst, long enough to see one."""
HABIT_DAYS = 14


@dataclass(frozen=True, slots=True)
class Lately:
    """How much of something is new in the last `BURST`, and on the busiest of the `HABIT_DAYS` before it."""

    new: int
    busiest_day: int


@dataclass(frozen=True, slots=True)
class BurstRule:
    """More than `floor`, and more than `factor` times the busiest day, within `BURST` is a burst."""

    floor: int
    factor: int

    def is_burst(self, lately: Lately) -> bool:
        """Whether somebody should look."""
        return lately.new > max(self.floor, self.factor * lately.busiest_day)


def login_network(address: str) -> str:
    """The network that a log-in comes from: the /24 or /48 of an address, which move less than addresses do."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(ip_network((parsed, 48 if isinstance(parsed, IPv6Address) else 24), strict=False))
