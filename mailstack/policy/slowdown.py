"""How long a log-in waits after failures, by address and by account; pure counts that fade with time.

A few failures are free (people mistype), then each doubles the wait, and far beyond it log-ins are refused without a
look at the password. Who has logged in to an account from a network before is measured there by his own failures
only, so that a stranger who guesses at an account cannot lock its owner out. Neighbour: `login` waits and counts.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from mailstack.mail.address import AddressError, parse_address


@dataclass(frozen=True, slots=True)
class SlowdownRules:
    """When it begins, how it grows, where it ends."""

    free_failures: float = 3
    """Failures that cost nothing: typing errors, an old password in a second device."""
    first_seconds: float = 1.0
    longest_seconds: float = 15.0
    """Clients give up a little later."""
    refuse_from: float = 30
    """From this many failures on nothing is checked."""
    half_life_seconds: float = 600
    """A count halves in this time."""
    remembered: int = 50_000
    """Addresses, accounts and pairs that are kept; the longest untouched is forgotten first."""


class FailureCounts:
    """Failures by key, each count halving with time; bounded."""

    def __init__(self, half_life_seconds: float, remembered: int) -> None:
        self._half_life = half_life_seconds
        self._remembered = remembered
        self._counts: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def count(self, key: str, now: float) -> float:
        """The faded count at a moment in seconds."""
        count, at = self._counts.get(key, (0.0, now))
        return count * math.exp2(-max(now - at, 0.0) / self._half_life)

    def add(self, key: str, now: float) -> None:
        """One more failure."""
        self._counts[key] = (self.count(key, now) + 1, now)
        self._counts.move_to_end(key)
        if len(self._counts) > self._remembered:
            self._counts.popitem(last=False)

    def forget(self, key: str) -> None:
        """Start anew."""
        self._counts.pop(key, None)


class Slowdown:
    """What each address, account and pair of both has earned."""

    def __init__(self, rules: SlowdownRules = SlowdownRules()) -> None:
        self._rules = rules
        self._failures = FailureCounts(rules.half_life_seconds, rules.remembered)
        self._known: OrderedDict[str, None] = OrderedDict()

    def delay(self, account: str, address: str, now: float) -> float | None:
        """Seconds to wait before the next check; None = refuse without one.

        Args:
            account: the name as given, in the form names are compared by; it need not exist.
            address: the client's IP address.
            now: seconds of any steady clock.
        """
        rules, network = self._rules, network_of(address)
        pair = _pair(account, network)
        if pair in self._known:
            failures = self._failures.count(pair, now)
        else:
            failures = max(self._failures.count(account, now), self._failures.count(network, now))
        if failures >= rules.refuse_from:
            return None
        if failures < rules.free_failures:
            return 0.0
        doublings = min(failures - rules.free_failures, 32)
        return min(rules.first_seconds * 2**doublings, rules.longest_seconds)

    def note_failure(self, account: str, address: str, now: float) -> None:
        """A wrong password, an unknown name or a failed proof."""
        network = network_of(address)
        for key in (account, network, _pair(account, network)):
            self._failures.add(key, now)

    def note_success(self, account: str, address: str) -> None:
        """A right password: this network is known to the account from now on.

        The counts of the account and of the network stay: the owner's visit says nothing about others who guess.
        """
        pair = _pair(account, network_of(address))
        self._failures.forget(pair)
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > self._rules.remembered:
            self._known.popitem(last=False)


def name_key(name: str) -> str:
    """The form that names are counted by, for names that exist and names that do not."""
    try:
        return parse_address(name).key
    except AddressError:
        return name[:254].lower()


def network_of(address: str) -> str:
    """What an address is counted as: itself, or its /64 in IPv6, which one customer has to himself."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)


def _pair(account: str, network: str) -> str:
    return f"{account} {network}"
