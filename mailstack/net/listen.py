"""Listening sockets: bound before privileges are dropped, or handed over by systemd; adopted by the reactor afterwards.

`serving` binds all sockets first, then may become another user, then opens what that user owns, then adopts.
Neighbour: `systemd` knows the sockets that came with names.
"""

import errno
import os
import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IListeningPort, IReactorSocket, IReactorTime
from twisted.internet.protocol import ServerFactory

from mailstack.config_values import split_host_port
from mailstack.net.systemd import take_sockets

BACKLOG = 1024
"""Connections that the kernel completes for us while the reactor is busy."""

REST_SECONDS = 1.0
"""When the system has no descriptor left: how long we wait before the next try."""


class ListenError(Exception):
    """An address that cannot be listened on; the message says what, why and the mend."""


class Listeners:
    """All listening sockets of the host, by service."""

    def __init__(self) -> None:
        self._passed = take_sockets(os.environ)
        self._sockets: dict[str, list[socket.socket]] = {}
        self._ports: list[IListeningPort] = []
        self._is_resting = False

    def bind(self, service: str, addresses: Iterable[str]) -> None:
        """Bind a service's addresses (`address:port`, `systemd:NAME`).

        Raises:
            ListenError: one of them cannot be had.
        """
        for address in addresses:
            found = self._take(address) if address.startswith("systemd:") else [bind_socket(service, address)]
            self._sockets.setdefault(service, []).extend(found)

    def _take(self, address: str) -> list[socket.socket]:
        name = address.removeprefix("systemd:")
        if name not in self._passed:
            raise ListenError(f"no socket named {name!r} came from systemd; set FileDescriptorName={name} in its unit")
        taken = self._passed.pop(name)
        if not all(_is_listening(one) for one in taken):
            raise ListenError(f"the socket {name!r} of systemd is no ListenStream= with Accept=no; mend its unit")
        return taken

    def refuse_unused(self) -> None:
        """A socket that systemd opened and nobody serves would let clients hang.

        Raises:
            ListenError: there is one.
        """
        for name in self._passed:
            raise ListenError(f"systemd passed a socket named {name!r}; name it in [listen] as systemd:{name}")

    def adopt(self, reactor: IReactorSocket, service: str, factory: ServerFactory) -> None:
        """Let the reactor accept connections for a service."""
        for bound in self._sockets.pop(service, []):
            bound.setblocking(False)
            self._ports.append(reactor.adoptStreamPort(bound.fileno(), bound.family, factory))
            bound.close()  # the reactor has its own descriptor of it

    def rest(self, clock: IReactorTime) -> None:
        """Accept nothing for a moment; who knocks waits in the kernel's queue."""
        for port in self._ports:
            port.stopReading()  # type: ignore[attr-defined]
        if not self._is_resting:
            self._is_resting = True
            clock.callLater(REST_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._is_resting = False
        for port in self._ports:
            port.startReading()  # type: ignore[attr-defined]

    def describe(self) -> str:
        """Where the host listens."""
        hosts: list[Any] = [port.getHost() for port in self._ports]
        return ",".join(f"{host.host}:{host.port}" for host in hosts)

    async def stop(self) -> None:
        """Accept no more connections."""
        ports, self._ports = self._ports, []
        for port in ports:
            await port.stopListening()  # type: ignore[misc]


def bind_socket(service: str, address: str) -> socket.socket:
    """A socket that listens on `address:port`.

    Raises:
        ListenError: it cannot be had.
    """
    try:
        host, port = split_host_port(address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)
    except PermissionError:
        raise ListenError(
            f"cannot listen on {address} for {service}: ports below 1024 need root or systemd; "
            "start as root with a user setting, or choose a higher port"
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            why = f"{why}: stop the program that has it (`ss -ltnp` names it)"
        raise ListenError(f"cannot listen on {address} for {service}: {why}; change [listen] {service}") from None
    return bound


def _is_listening(passed: socket.socket) -> bool:
    is_inet = passed.family in (socket.AF_INET, socket.AF_INET6)
    return is_inet and bool(passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
