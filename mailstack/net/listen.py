"""Listening sockets: bound before privileges are dropped, or handed over by systemd; adopted by the reactor afterwards.

`app.py` binds all sockets first, then may become another user, then opens what that user owns, then adopts. Names of
sockets from systemd are `FileDescriptorName=` of its socket units (sd_listen_fds(3)).
"""

import grp
import os
import pwd
import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IListeningPort, IReactorSocket
from twisted.internet.protocol import ServerFactory
from twisted.python.systemd import ListenFDs

from mailstack.config_values import split_host_port

BACKLOG = 1024
"""Connections that the kernel completes for us while the reactor is busy."""


class ListenError(Exception):
    """An address that cannot be listened on; the message says what, why and the mend."""


class Listeners:
    """All listening sockets of the host, by service."""

    def __init__(self) -> None:
        self._inherited = ListenFDs.fromEnvironment()
        self._sockets: dict[str, list[socket.socket]] = {}
        self._ports: list[IListeningPort] = []

    def bind(self, service: str, addresses: Iterable[str]) -> None:
        """Bind a service's addresses (`address:port`, `systemd:NAME`).

        Raises:
            ListenError: one of them cannot be had.
        """
        for address in addresses:
            found = self._inherit(address) if address.startswith("systemd:") else [_bind(service, address)]
            self._sockets.setdefault(service, []).extend(found)

    def _inherit(self, address: str) -> list[socket.socket]:
        name = address.removeprefix("systemd:")
        descriptors = self._inherited.inheritedNamedDescriptors()
        if name not in descriptors:
            raise ListenError(f"no socket named {name!r} came from systemd; set FileDescriptorName={name} in its unit")
        return [socket.socket(fileno=os.dup(descriptors[name]))]

    def adopt(self, reactor: IReactorSocket, service: str, factory: ServerFactory) -> None:
        """Let the reactor accept connections for a service."""
        for bound in self._sockets.pop(service, []):
            bound.setblocking(False)
            self._ports.append(reactor.adoptStreamPort(bound.fileno(), bound.family, factory))
            bound.close()  # the reactor has its own descriptor of it

    def describe(self) -> str:
        """Where the host listens."""
        hosts: list[Any] = [port.getHost() for port in self._ports]
        return ",".join(f"{host.host}:{host.port}" for host in hosts)

    async def stop(self) -> None:
        """Accept no more connections."""
        for port in self._ports:
            await port.stopListening()  # type: ignore[misc]
        self._ports.clear()


def _bind(service: str, address: str) -> socket.socket:
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
        raise ListenError(f"cannot listen on {address} for {service}: {why}; change [listen] {service}") from None
    return bound


def become(user: str) -> None:
    """Become a user and its groups, for good; nothing happens when the process is not root.

    Raises:
        ListenError: there is no such user.
    """
    if not user or os.getuid() != 0:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ListenError(f"there is no user {user!r} to run as; create it or change the user setting") from None
    groups = [group.gr_gid for group in grp.getgrall() if user in group.gr_mem]
    os.setgroups([*groups, entry.pw_gid])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ["HOME"] = entry.pw_dir


def notify_systemd(state: str) -> None:
    """Tell systemd of a state such as `READY=1` (sd_notify(3)); nothing happens without systemd."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.connect("\0" + path[1:] if path.startswith("@") else path)
        notifier.sendall(state.encode())
