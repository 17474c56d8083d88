"""What the system says about DNS: /etc/resolv.conf, /etc/hosts, and name servers written as settings.

Files are read anew when they change. Neighbours: `resolver` is the only user.
"""

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
Server = tuple[str, int]
"""A name server: IP address and port."""


def parse_server(text: str) -> Server:
    """`192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`.

    Raises:
        ValueError: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = text, "53"
    return str(ip_address(host.strip("[]"))), int(port)


def read_nameservers(lines: Iterable[str]) -> tuple[Server, ...]:
    """The name servers of a resolv.conf, three at most, as resolv.conf(5) has it; the local host when it names none."""
    servers = []
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                servers.append((str(ip_address(words[1])), 53))
            except ValueError:
                continue  # a scoped or malformed address: the others may do
    return tuple(servers[:3]) or (("127.0.0.1", 53),)


def read_hosts(lines: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Names (lower case) and their addresses from a hosts(5) file."""
    hosts: dict[str, tuple[str, ...]] = {}
    for line in lines:
        words = line.partition("#")[0].split()
        try:
            address = str(ip_address(words[0])) if words else ""
        except ValueError:
            continue
        for name in words[1:]:
            hosts[name.lower()] = (*hosts.get(name.lower(), ()), address)
    return hosts


class WatchedFile(Generic[T]):
    """A file's content in the form that `read` gives it, read anew when the file has changed."""

    def __init__(self, path: Path, read: Callable[[Iterable[str]], T]) -> None:
        self._path = path
        self._read = read
        self._stamp = -1
        self._value: T = read(())

    def get(self) -> T:
        """The present content; of a file that is not there, what an empty one says."""
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                self._value = self._read(self._path.read_text("utf-8", "replace").splitlines())
                self._stamp = stamp
        except OSError:
            self._value, self._stamp = self._read(()), -1
        return self._value
