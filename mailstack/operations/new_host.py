"""A new host in a folder: config, database, self-signed certificate. Nothing that is there is ever written over.

The config is written last: a folder with one is a whole host. Neighbours: `certificates`; `store/migrate` makes the
tables; the command line adds the first limits and, for a demo, the accounts.
"""

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mailstack.config import Config, Listen
from mailstack.config_file import load_config
from mailstack.config_values import parse_hostname
from mailstack.operations.certificates import make_self_signed, write_certificate
from mailstack.operations.rights import find_user, give
from mailstack.store import migrate

CONFIG = "mailstack.toml"
DATABASE = "mailstack.db"
CERTIFICATE = Path("tls/cert.pem")
KEY = Path("tls/key.pem")
ANY_ADDRESS_LISTEN = Listen()
"""What root may listen on: the well-known ports of all addresses."""
HIGH_PORTS_LISTEN = Listen(
    smtp=("0.0.0.0:2525",),
    submission=("0.0.0.0:2587",),
    submissions=("0.0.0.0:2465",),
    pop3=("0.0.0.0:2110",),
    pop3s=("0.0.0.0:2995",),
    http=("127.0.0.1:8080",),
)
"""What anybody may listen on."""

_TEMPLATE = """\
# Mailstack. What is not said here has its default; a wrong or unknown key is told by `mailstack check`.
# Relative paths are relative to this file. Each setting can also come from the environment, as in
# MAILSTACK_QUEUE__GIVE_UP_AFTER=5d. Domains, accounts and limits live in the database: see `mailstack --help`.

hostname = {hostname}    # as MX and PTR say it; in the greeting and in Received
data = "."
database = "sqlite:///mailstack.db"    # or postgresql://user@host/name
content = "content"                    # the folder of mail too large for the database
{user}    # whom to become when started by root

[listen]                               # lists of "address:port" or "systemd:NAME"; [] turns a service off
{listen}

[tls]                                  # read again on SIGHUP
certificate = "tls/cert.pem"
key = "tls/key.pem"

[smtp]
max_message_size = "50M"
max_recipients = 1000

[queue]
retry = ["2m", "5m", "10m", "15m", "30m", "1h", "2h", "4h"]    # the last one repeats; each with 10 % jitter
warn_after = "4h"                      # the delay notice to the sender; "" = none
give_up_after = "5d"

[limits]                               # beside `mailstack limit`
held_backlog = 10000                   # recipients held for one account; beyond it mail is refused
freeze = true                          # hold what an account sends that bursts far beyond its own habit

[outbound]
# smarthost = "smtp.example.net:587"   # for all remote mail; with smarthost_user and smarthost_password_file
# nameservers = ["127.0.0.1:53"]       # else the system's
connections_per_destination = 10
"""
_SERVICES = {
    "smtp": "inbound, from the world",
    "submission": "STARTTLS, then AUTH",
    "submissions": "implicit TLS",
    "pop3": "STLS, then login",
    "pop3s": "implicit TLS",
    "http": "the panel",
    "https": "the panel",
    "metrics": "Prometheus",
}


class HostExists(Exception):
    """Something that a new host needs to make is there already; nothing was changed."""


def config_text(hostname: str, listen: Listen, user: str = "") -> str:
    """The config of a new host, with a word on each setting."""
    lines = []
    for field in dataclasses.fields(listen):
        setting = f"{field.name} = {json.dumps(list(getattr(listen, field.name)))}"
        lines.append(f"{setting.ljust(38)} # {_SERVICES[field.name]}")
    become = f"user = {json.dumps(user)}" if user else '# user = "mailstack"'
    return _TEMPLATE.format(hostname=json.dumps(hostname), user=become.ljust(34), listen="\n".join(lines))


def create_host(
    data: Path, hostname: str, listen: Listen, now: datetime, *, more_names: Sequence[str] = (), user: str = ""
) -> Config:
    """Make a host in a folder.

    Args:
        data: the folder, made when missing.
        hostname: the host's name, either label form.
        listen: where it will listen.
        now: the present, for the certificate.
        more_names: what the certificate covers besides the host's name.
        user: who will own it all and whom the server becomes, when root makes it; empty = the one who makes it.

    Returns:
        The settings of the new host.

    Raises:
        HostExists: there is a host, or a part of one.
        ValueError: not a host name.
        RightsError: there is no such user.
        OSError: the folder cannot be written, or not given away.
    """
    name = parse_hostname(hostname)
    owner = find_user(user) if user else None
    for part in (Path(CONFIG), Path(DATABASE), CERTIFICATE, KEY):
        if (data / part).exists():
            raise HostExists(f"{data / part} is there already; name another folder with --data, or use that host")
    data.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_certificate(data / CERTIFICATE, data / KEY, *make_self_signed([name, *more_names], now))
    file = data / CONFIG
    unfinished = data / f"{CONFIG}.new"
    unfinished.write_text(config_text(name, listen, user), encoding="utf-8")
    config = load_config(unfinished, {})
    migrate.upgrade(config.database)
    (data / DATABASE).chmod(0o600)  # people's mail; SQLite gives its other files the same mode
    if owner is not None:
        for path in (data, *data.rglob("*")):
            give(path, owner)
    unfinished.rename(file)
    return config
