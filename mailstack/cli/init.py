"""`mailstack init`: a new host, by `operations/new_host`, with the limits it starts with."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailstack.management import limits
from mailstack.management.actor import Actor
from mailstack.operations.new_host import ANY_ADDRESS_LISTEN, HIGH_PORTS_LISTEN, create_host
from mailstack.store.database import Database

if TYPE_CHECKING:
    from mailstack.config import Config, Listen


@click.command("init")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder to make it in."
)
@click.option("--hostname", required=True, help="The host's full name, as MX and PTR say it.")
@click.option("--user", default="", help="As root: who shall own it, and whom the server becomes.")
def command(data: Path, hostname: str, user: str) -> None:
    """Make a new host: DATA/mailstack.toml, a database, a self-signed certificate. Never writes over anything.

    Made by root it listens on the well-known ports, made by anybody else on 2525, 2587, 2465, 2110 and 2995; the
    config says both how and where to change that.

    \b
    mailstack init --data /var/lib/mailstack --hostname mx.example.org
    """
    is_root = os.geteuid() == 0
    listen = ANY_ADDRESS_LISTEN if is_root else HIGH_PORTS_LISTEN
    make_host(data, hostname, listen, user=user)
    config = f"{data}/mailstack.toml"
    click.echo(f"made {config}, a database and a self-signed certificate")
    click.echo(
        "every account may send to 200 recipients an hour and 1000 a day, 200 of them new to it;"
        " see `mailstack limit --help`"
    )
    if not is_root:
        click.echo("it listens on high ports, for you are not root; [listen] in the config says where")
    elif not user:
        click.echo("the server will stay root; better make a user, and name it with --user when making a host")
    click.echo("now:")
    for words in ("domain add example.org", "account add you@example.org", "check", "serve"):
        click.echo(f"  mailstack --config {config} {words}")
    click.echo(f"the panel is on {listen.http[0]}; `serve` prints a link that sets it up, and `admin add` does it too")


def make_host(
    data: Path, hostname: str, listen: "Listen", *, more_names: Sequence[str] = (), user: str = ""
) -> "Config":
    """Make a host and set the limits it starts with."""
    try:
        config = create_host(data, hostname, listen, datetime.now(UTC), more_names=more_names, user=user)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--hostname") from None
    database = Database.open(config.database, config.data)
    try:
        actor = Actor("mailstack init", "command line", all_domains=True)
        database.write_now(lambda connection: limits.set_first_rules(connection, actor))
    finally:
        database.close()
    return config
