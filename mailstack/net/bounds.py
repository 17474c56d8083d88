"""How many connections may be open: in all, and from one address.

One `ConnectionBounds` is shared by all ports of a service, so that one peer cannot take every place. An IPv6 peer
is its /64, as it can pick any address in it.
"""

from collections import Counter
from enum import Enum
from ipaddress import IPv6Address, ip_address


class Admission(Enum):
    """Whether one more connection is taken."""

    WELCOME = "welcome"
    TOO_MANY = "too many in all"
    TOO_MANY_FROM_ADDRESS = "too many from this address"


class ConnectionBounds:
    """Counts open connections; whoever is welcome must `leave`."""

    def __init__(self, total: int, per_address: int) -> None:
        self._total = total
        self._per_address = per_address
        self._open: Counter[str] = Counter()
        self._count = 0

    def resize(self, total: int, per_address: int) -> None:
        """Other bounds from now on; who is in stays."""
        self._total = total
        self._per_address = per_address

    def __len__(self) -> int:
        return self._count

    def enter(self, address: str) -> Admission:
        """Count a connection from an IP address in, if there is room."""
        if self._count >= self._total:
            return Admission.TOO_MANY
        key = _key(address)
        if self._open.get(key, 0) >= self._per_address:
            return Admission.TOO_MANY_FROM_ADDRESS
        self._open[key] += 1
        self._count += 1
        return Admission.WELCOME

    def leave(self, address: str) -> None:
        """Count out a connection that was welcome."""
        key = _key(address)
        self._count -= 1
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]


def _key(address: str) -> str:
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or parsed.packed[:8].hex())
