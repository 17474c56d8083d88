"""Typed settings from one TOML file; each limit and time-out has its default and its reason here.

`config_file.load_config` reads the file and the environment (`MAILSTACK_QUEUE__GIVE_UP_AFTER=5d`) into these classes;
the types say how each value is written and bounded (`config_values`). The parts below are handed to whoever needs
them; nobody else reads the file.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

SERVICES = ("smtp", "submission", "submissions", "pop3", "pop3s", "http", "https", "metrics")
"""What `serve` listens for: all lists of `[listen]`."""

Network = IPv4Network | IPv6Network
Octets = Annotated[int, "octets"]
Count = Annotated[int, "count"]
"""One or more."""
Days = Annotated[int, "count"]
Port = Annotated[int, "port"]
Endpoint = Annotated[str, "endpoint"]
"""Where to listen: `address:port`, `[address]:port` or `systemd:NAME`."""
HostPort = Annotated[str, "host and port"]
"""Where to connect; empty = nowhere."""
NameServer = Annotated[str, "name server"]
"""`address` or `address:port`."""
IpAddress = Annotated[str, "address"]
"""One of our own addresses; empty = the system chooses."""
KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Listen:
    """Where each service listens: `address:port`, `[address]:port` or `systemd:NAME`; an empty tuple turns it off."""

    smtp: tuple[Endpoint, ...] = ("0.0.0.0:25",)
    submission: tuple[Endpoint, ...] = ("0.0.0.0:587",)
    submissions: tuple[Endpoint, ...] = ("0.0.0.0:465",)
    pop3: tuple[Endpoint, ...] = ("0.0.0.0:110",)
    pop3s: tuple[Endpoint, ...] = ("0.0.0.0:995",)
    http: tuple[Endpoint, ...] = ("127.0.0.1:8080",)
    https: tuple[Endpoint, ...] = ()
    metrics: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificate chain and its key, PEM."""

    certificate: Path = Path("tls/cert.pem")
    key: Path = Path("tls/key.pem")


@dataclass(frozen=True, slots=True)
class Smtp:
    """Bounds of an SMTP session (RFC 5321 section 4.5.3)."""

    max_message_size: Octets = 50 * MIB
    max_recipients: Count = 1000
    max_line: Octets = 64 * KIB
    """Octets in a line of content: wide enough for any real mail, a bound for an endless one."""
    max_connections: Count = 1000
    max_connections_per_address: Count = 50
    command_timeout: timedelta = timedelta(minutes=5)
    data_timeout: timedelta = timedelta(minutes=3)
    session_timeout: timedelta = timedelta(hours=1)
    """From the greeting, and anew from the beginning of each content: a large mail on a slow line comes to its end."""
    soft_errors: Count = 5
    """From this many errors on, each reply waits a second longer than the last."""
    hard_errors: Count = 20
    """At this many errors: 421 and the end."""
    max_received: Count = 50
    """More Received fields than this are a loop."""
    check_sender_domain: bool = True
    shutdown_grace: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Pop3:
    """Bounds of a POP3 session; EXPIRE and LOGIN-DELAY can be set for each domain too."""

    max_connections: Count = 1000
    max_connections_per_address: Count = 50
    idle_timeout: timedelta = timedelta(minutes=10)
    expire: Days | None = None
    """Days after which mail may be removed from the server; None = NEVER."""
    login_delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Queue:
    """When to try again, when to tell the sender, when to give up."""

    retry: tuple[timedelta, ...] = tuple(timedelta(minutes=m) for m in (2, 5, 10, 15, 30, 60, 120, 240))
    warn_after: timedelta | None = timedelta(hours=4)
    give_up_after: timedelta = timedelta(days=5)
    keep_history: timedelta = timedelta(days=30)
    """How long the timeline of a finished message is kept."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What stands beside the sending limits themselves, which are set with `mailstack limit`."""

    held_backlog: Count = 10_000
    """Recipients held for one account; beyond it mail is refused, so that what is held stays something to look at."""
    bulk_recipients: Count = 50
    """A message to more is bulk and goes by the second lane of the queue: people write to fewer."""
    bulk_per_hour: Count = 200
    """So is what an account sends beyond as many recipients in an hour, one by one."""
    freeze: bool = True
    """Whether an account that bursts far beyond its own habit is frozen until an administrator has looked."""
    freeze_first_time: Count = 100
    """So many recipients that it never wrote to before, within an hour, never freeze it, whatever its habit."""
    freeze_networks: Count = 20
    """So many networks (/24, /48) that nobody logged in from before, within an hour, never do: phones move."""
    freeze_factor: Count = 5
    """A burst is that many times the busiest day of the last two weeks, within an hour."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """How mail leaves for other hosts."""

    port: Port = 25
    nameservers: tuple[NameServer, ...] = ()
    smarthost: HostPort = ""
    smarthost_user: str = ""
    smarthost_password_file: Path | None = None
    """A file beside the database; a secret never stands in the config."""
    smarthost_verify: bool = True
    """Whether the smarthost must show a valid certificate before it gets the password."""
    prohibited_networks: tuple[Network, ...] = (
        ip_network("127.0.0.0/8"),
        ip_network("::1/128"),
        ip_network("0.0.0.0/8"),
    )
    connections_per_destination: Count = 10
    connections: Count = 100
    connect_timeout: timedelta = timedelta(seconds=30)
    bind_address: IpAddress = ""


@dataclass(frozen=True, slots=True)
class Log:
    """How the operator's log is written."""

    format: Literal["key=value", "json"] = "key=value"
    """For people, or one JSON object a line for programs; the fields are the same."""


@dataclass(frozen=True, slots=True)
class Config:
    """All settings; paths are absolute once loaded."""

    hostname: str
    data: Path
    database: str = "sqlite:///mailstack.db"
    content: str = "content"
    inline_content: Octets = 64 * KIB
    """Content up to this many octets rides in the database, larger content in files."""
    user: str = ""
    """The user to become after binding ports as root; empty = stay."""
    listen: Listen = field(default_factory=Listen)
    tls: Tls = field(default_factory=Tls)
    smtp: Smtp = field(default_factory=Smtp)
    pop3: Pop3 = field(default_factory=Pop3)
    queue: Queue = field(default_factory=Queue)
    limits: Limits = field(default_factory=Limits)
    outbound: Outbound = field(default_factory=Outbound)
    log: Log = field(default_factory=Log)
