"""`mailstack demo`: a throw-away host on loopback with accounts and an administrator, and two commands to try it."""

import dataclasses
import json
import os
import secrets
import shlex
import socket
from pathlib import Path

import click

from mailstack.cli.host import Host, pass_host
from mailstack.cli.init import make_host
from mailstack.cli.serve import panel_url, serve_config
from mailstack.config import SERVICES, Listen
from mailstack.config_values import split_host_port, write_host_port
from mailstack.management import accounts, administrators, domains
from mailstack.management.actor import Actor
from mailstack.management.acts import make_hashes
from mailstack.operations.new_host import CERTIFICATE, CONFIG

DOMAIN = "example.test"
PASSWORDS = "demo-passwords.json"
LISTEN = Listen(
    smtp=("127.0.0.1:2525",),
    submission=("127.0.0.1:2587",),
    submissions=("127.0.0.1:2465",),
    pop3=("127.0.0.1:2110",),
    pop3s=("127.0.0.1:2995",),
    http=("127.0.0.1:2080",),
)
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@click.command("demo")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/demo"),
    show_default=True,
    help="The folder of the demo; made when missing, used again when there.",
)
@pass_host
def command(host: Host, data: Path) -> None:
    """Make a throw-away host on loopback and serve it.

    Domain example.test, accounts alice@ and bob@, an administrator, a certificate of its own. Ends with Ctrl-C; delete
    the folder and it is gone.
    """
    if not (data / CONFIG).exists():
        _make(data)
    demo = Host(str(data / CONFIG))
    demo.config = dataclasses.replace(demo.config, listen=free_listen(demo.config.listen))
    click.echo(tell(data, demo.config.listen, json.loads((data / PASSWORDS).read_text())))
    host.close()
    try:
        serve_config(demo)
    finally:
        demo.close()


def _make(data: Path) -> None:
    passwords = {name: _password() for name in (f"alice@{DOMAIN}", f"bob@{DOMAIN}", "admin")}
    config = make_host(data, f"mx.{DOMAIN}", LISTEN, more_names=("localhost", "127.0.0.1", "::1"))
    with open(os.open(data / PASSWORDS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(passwords, file)
    demo = Host(str(data / CONFIG))
    demo.config = config
    demo.actor = Actor("mailstack demo", "command line", all_domains=True)
    try:
        demo.write(domains.add, DOMAIN, domains.DomainTerms())
        for name, password in passwords.items():
            hashes = make_hashes(password)
            if "@" in name:
                demo.write(accounts.add, name, hashes)
            else:
                demo.write(administrators.add, name, hashes.hash)
    finally:
        demo.close()


def _password() -> str:
    """Short enough to type, and nothing a shell could read as more."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))


def free_listen(listen: Listen) -> Listen:
    """The same services, each whose port is taken on the next free one."""
    given: set[int] = set()
    return Listen(
        **{
            field.name: tuple(_free(endpoint, given) for endpoint in getattr(listen, field.name))
            for field in dataclasses.fields(listen)
        }
    )


def _free(endpoint: str, given: set[int]) -> str:
    host, wanted = split_host_port(endpoint)
    for port in range(wanted, min(wanted + 1000, 65536)):
        if port not in given and _is_free(host, port):
            given.add(port)
            return write_host_port(host, port)
    return endpoint  # `serve` says what is in the way


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def tell(data: Path, listen: Listen, passwords: dict[str, str]) -> str:
    """What somebody in front of the demo wants to know: where, who, and two commands to paste."""
    alice, bob = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
    trust = f"--cacert {_quoted(data.absolute() / CERTIFICATE)}"
    mail = rf"From: {alice}\r\nTo: {bob}\r\nSubject: Hello\r\n\r\nA first mail.\r\n"
    send = (
        f"printf '{mail}' | curl -sS --ssl-reqd {trust} --user '{alice}:{passwords[alice]}' "
        f"--mail-from {alice} --mail-rcpt {bob} --upload-file - smtp://{listen.submission[0]}"
    )
    fetch = f"curl -sS {trust} --user '{bob}:{passwords[bob]}' pop3s://{listen.pop3s[0]}/1"
    services = "".join(
        f"  {field.name.ljust(12)} {', '.join(getattr(listen, field.name))}\n"
        for field in dataclasses.fields(listen)
        if field.name in SERVICES and getattr(listen, field.name)
    )
    people = "".join(f"  {name.ljust(20)} {password}\n" for name, password in passwords.items())
    return (
        f"A throw-away mail host in {data}, on loopback only:\n{services}\n"
        f"Accounts, the administrator, and their passwords:\n{people}\n"
        f"Send a mail from Alice to Bob:\n\n  {send}\n\n"
        f"Fetch it:\n\n  {fetch}\n\n"
        f"Look at it in a browser, as admin or as one of the accounts:\n\n  {panel_url('localhost', listen)}\n\n"
        f"Or here: mailstack --config {_quoted(data / CONFIG)} trace {bob}\nStop with Ctrl-C.\n"
    )


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
