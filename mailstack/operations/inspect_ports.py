"""What is wrong with the addresses of `[listen]`: named twice, not ours, taken by another program.

Neighbours: `inspection` asks; `net/listen` binds for a moment what the server would bind.
"""

import dataclasses
import os
from collections.abc import Iterator

from mailstack.config import Config, Listen
from mailstack.config_values import split_host_port
from mailstack.net.listen import ListenError, bind_socket
from mailstack.operations.findings import Finding
from mailstack.operations.running import is_running

_PRIVILEGED = 1024


def inspect_ports(config: Config) -> Iterator[Finding]:
    """Look at each address; those that our own running server has are not tried."""
    listens = [(service, address) for service, addresses in _services(config.listen) for address in addresses]
    if not listens:
        yield Finding("listen: every service is turned off; name an address for one")
    taken: dict[str, str] = {}
    for service, address in listens:
        if address in taken:
            yield Finding(f"listen: {service} and {taken[address]} both want {address}; give each its own")
        taken.setdefault(address, service)
    ours = {address: service for address, service in taken.items() if not address.startswith("systemd:")}
    privileged = [str(port) for port in map(_port, ours) if port < _PRIVILEGED]
    if privileged and os.geteuid() != 0:
        ports = ", ".join(dict.fromkeys(privileged))
        yield Finding(f"listen: ports {ports} need root, CAP_NET_BIND_SERVICE or systemd: sockets", is_wrong=False)
    if not is_running(config.data):
        yield from _try_to_bind(ours)


def _services(listen: Listen) -> Iterator[tuple[str, tuple[str, ...]]]:
    for field in dataclasses.fields(listen):
        yield field.name, getattr(listen, field.name)


def _port(address: str) -> int:
    return split_host_port(address)[1]


def _try_to_bind(ours: dict[str, str]) -> Iterator[Finding]:
    for address, service in ours.items():
        if _port(address) < _PRIVILEGED and os.geteuid() != 0:
            continue
        try:
            bind_socket(service, address).close()
        except ListenError as error:
            yield Finding(f"listen: {error}")
