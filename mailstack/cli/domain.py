"""`mailstack domain`: a face on `management/domains`."""

import dataclasses
from typing import Any

import click

from mailstack.cli.host import Host, json_option, pass_host, print_facts, print_json, print_table
from mailstack.management import domains
from mailstack.management.domains import DomainTerms, DomainView


@click.group("domain")
def command() -> None:
    """The domains whose mail we take.

    \b
    mailstack domain add example.org
    mailstack domain add example.net --kind relay --next-hop mail.example.net
    mailstack domain list
    """


@command.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["local", "relay"]),
    default="local",
    show_default=True,
    help="local: its accounts are here. relay: we are its backup MX and pass its mail on.",
)
@click.option("--next-hop", metavar="HOST[:PORT]", help="Where mail of a relay domain goes.")
@click.option("--expire-days", type=int, help="POP3 EXPIRE: days after which mail may go; else the config's.")
@click.option("--login-delay", type=int, metavar="SECONDS", help="POP3 LOGIN-DELAY; else the config's.")
@pass_host
def add(
    host: Host, name: str, kind: str, next_hop: str | None, expire_days: int | None, login_delay: int | None
) -> None:
    """Take a domain in; mail to it is accepted within a second.

    \b
    mailstack domain add example.org
    mailstack domain add bücher.example
    mailstack domain add example.net --kind relay --next-hop mail.example.net:25
    """
    view = host.write(domains.add, name, DomainTerms(kind, next_hop, expire_days, login_delay))
    click.echo(f"{view.for_people} is a domain of this host")


@command.command("list")
@click.option("--search", default="", help="Only names that contain this.")
@json_option
@pass_host
def list_(host: Host, search: str, as_json: bool) -> None:
    """List the domains by name."""
    views = host.read(domains.find, search=search, limit=None)
    if as_json:
        print_json([_told(view) for view in views])
        return
    rows = [(view.for_people, view.kind, view.accounts, view.aliases, view.next_hop) for view in views]
    print_table(("DOMAIN", "KIND", "ACCOUNTS", "ALIASES", "NEXT HOP"), rows, "there is no domain yet")


@command.command()
@click.argument("name")
@json_option
@pass_host
def show(host: Host, name: str, as_json: bool) -> None:
    """Show one domain."""
    told = _told(host.read(domains.get, name))
    print_json(told) if as_json else print_facts(told.items())


@command.command()
@click.argument("name")
@pass_host
def remove(host: Host, name: str) -> None:
    """Let a domain go; it must have no accounts and aliases any more."""
    host.write(domains.remove, name)
    click.echo(f"{name} is no longer a domain of this host")


def _told(view: DomainView) -> dict[str, Any]:
    return {"name": view.name, "unicode": view.for_people, **dataclasses.asdict(view)}
