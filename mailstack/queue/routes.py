"""Where the mail of a domain goes: into our own maildrops, to a next hop that is set, or by MX.

Neighbours: `runner` paces by `Route.key`, `attempt` delivers to `Route.next_hop`; `policy/routing` goes on from a
domain's MX. The directory is asked each time: a change is followed by the next claim.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mailstack.config import Outbound
from mailstack.delivery.outgoing import NextHop
from mailstack.store.directory import Directory, DomainKind


@dataclass(frozen=True, slots=True)
class Route:
    """A destination. Its key names it; `next_hop` is None for our own maildrops."""

    key: str
    next_hop: NextHop | None
    is_shared: bool
    """Whether several domains go there."""


LOCAL = Route("local", None, True)


class Routes:
    """The routes of one host.

    Args:
        outbound: for the smarthost, `host[:port]` or empty.
        password: the smarthost's, read from its file.
        directory: gives the current snapshot.
    """

    def __init__(self, outbound: Outbound, directory: Callable[[], Directory], password: str = "") -> None:
        self._directory = directory
        self._smarthost: Route | None = None
        if outbound.smarthost:
            host, port = split_host(outbound.smarthost)
            user = outbound.smarthost_user
            next_hop = NextHop.smarthost(host, port, user, password if user else "")
            self._smarthost = Route(next_hop.key, next_hop, True)

    def route(self, domain: str) -> Route:
        """The route of a domain (A-label; empty for an address without domain). Safe in any thread."""
        ours = self._directory().domain(domain) if domain else None
        if not domain or (ours is not None and ours.kind is DomainKind.LOCAL):
            return LOCAL
        if ours is not None and ours.next_hop:
            next_hop = NextHop.host(*split_host(ours.next_hop))
            return Route(next_hop.key, next_hop, True)
        if self._smarthost is not None:
            return self._smarthost
        next_hop = NextHop.mx(domain)
        return Route(next_hop.key, next_hop, False)


def split_host(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[address]:port` or a bare IPv6 address, as (host, port or None)."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest.removeprefix(":")) if rest.removeprefix(":") else None
    host, colon, port = text.rpartition(":")
    if colon and ":" not in host and port.isdecimal():
        return host, int(port)
    return text, None
