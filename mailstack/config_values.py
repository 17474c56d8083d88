"""How values of the config and of the command line are written: sizes, durations, endpoints, hosts.

Each `parse_…` answers a text it cannot read with a `ValueError` that says what is wrong and how to write it; the caller
(`config_file`, `cli/`) adds where it stood. `write_size` and `write_duration` give the same forms back.
"""

import re
from datetime import timedelta
from ipaddress import ip_address

from mailstack.mail.domain import DomainError, parse_domain

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\Z", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:\d+[smhdw])+\Z", re.IGNORECASE)
_SYSTEMD = re.compile(r"systemd:[A-Za-z0-9_.@-]+\Z")
MAX_DURATION = timedelta(days=3650)


def parse_size(text: str) -> int:
    """Octets of `50M`, `1.5G`, `64K` or `1000`; K, M, G, T are powers of 1024.

    Raises:
        ValueError: it is not a size.
    """
    found = _SIZE.match(text.strip())
    if not found:
        raise ValueError(f'"{text}" is not a size; write it like 512K, 50M or 1G')
    return int(float(found[1]) * _UNITS[found[2].upper()])


def write_size(octets: int) -> str:
    """A size as people read it: `50M`, `1.5G`, `999`."""
    power = min(max(octets.bit_length() - 1, 0) // 10, 4)
    return f"{octets / 1024**power:.1f}".removesuffix(".0") + ["", "K", "M", "G", "T"][power]


def parse_duration(text: str) -> timedelta:
    """The time of `30s`, `5m`, `4h`, `5d`, `1h30m`.

    Raises:
        ValueError: it is not a duration, or longer than ten years.
    """
    if not _DURATION.match(text):
        raise ValueError(f'"{text}" is not a duration; write it like 30s, 5m, 4h or 5d')
    seconds = sum(int(n) * _SECONDS[unit.lower()] for n, unit in re.findall(r"(\d+)([a-zA-Z])", text))
    if seconds > MAX_DURATION.total_seconds():
        raise ValueError(f'"{text}" is longer than ten years; write a shorter time')
    return timedelta(seconds=seconds)


def write_duration(duration: timedelta) -> str:
    """A duration in the largest units that say it exactly: `2m`, `1h30m`."""
    rest, parts = int(duration.total_seconds()), []
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_port(text: str) -> int:
    """A TCP port, 1 to 65535.

    Raises:
        ValueError: it is not one.
    """
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError(f'"{text}" is not a port; write a number from 1 to 65535')
    return int(text)


def parse_ip(text: str) -> str:
    """An IPv4 or IPv6 address in its usual form.

    Raises:
        ValueError: it is not one.
    """
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f'"{text}" is not an IP address; write it like 192.0.2.1 or 2001:db8::1') from None


def split_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`; the host keeps no brackets.

    Raises:
        ValueError: no port where one is needed, or a bad one.
    """
    host, colon, port = text.rpartition(":")
    if text.endswith("]") or not colon or (":" in host and not host.startswith("[")):
        if default_port is None:
            raise ValueError(f'"{text}" names no port; write it like 192.0.2.1:25 or [2001:db8::1]:25')
        host, number = text, default_port
    else:
        number = parse_port(port)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host, number


def parse_endpoint(text: str) -> str:
    """Where to listen: `address:port`, `[address]:port` or `systemd:NAME`.

    Raises:
        ValueError: it is none of them.
    """
    if text.startswith("systemd:"):
        if not _SYSTEMD.match(text):
            raise ValueError(f'"{text}" is not a socket of systemd; write it like systemd:smtp')
        return text
    host, port = split_host_port(text)
    if not host:
        raise ValueError(f'"{text}" names no address; write 0.0.0.0:{port} for all of IPv4, [::]:{port} for IPv6')
    return write_host_port(parse_ip(host), port)


def write_host_port(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_name_server(text: str) -> str:
    """A name server, `address` or `address:port`, as `address:port`.

    Raises:
        ValueError: it is neither.
    """
    host, port = (text, 53) if _is_ip(text) else split_host_port(text, 53)
    return write_host_port(parse_ip(host), port)


def parse_host_port(text: str, default_port: int | None = None) -> str:
    """A host to connect to, `name:port` or `address:port`, domain in A-label form.

    Raises:
        ValueError: a bad name, address or port, or no port where there is no default.
    """
    host, port = split_host_port(text, default_port)
    return write_host_port(host if _is_ip(host) else parse_hostname(host), port)


def parse_hostname(text: str) -> str:
    """A fully qualified host name, A-label form.

    Raises:
        ValueError: it is not one.
    """
    mend = "write a full name like mx.example.org"
    try:
        name = parse_domain(text)
    except DomainError as error:
        raise ValueError(f'"{text}" is not a host name ({error}); {mend}') from None
    if "." not in name or name.startswith("[") or _is_ip(name) or "_" in name:
        raise ValueError(f'"{text}" is not a full host name; {mend}')
    return name


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
