"""`mailstack domain`: a face on `management/domains`."""

import dataclasses
from typing import Any

import click

from mailstack.cli.host import Host, json_option, pass_host, print_facts, print_json, print_table
from mailstack.config_values import write_size
from mailstack.management import domains, removal
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
    help="local: its accounts are here (the default). relay: we are its backup MX (the default with --next-hop).",
)
@click.option("--next-hop", metavar="HOST[:PORT]", help="Where mail of a relay domain goes.")
@click.option("--expire-days", type=int, help="POP3 EXPIRE: days after which mail may go; else the config's.")
@click.option("--login-delay", type=int, metavar="SECONDS", help="POP3 LOGIN-DELAY; else the config's.")
@pass_host
def add(
    host: Host, name: str, kind: str | None, next_hop: str | None, expire_days: int | None, login_delay: int | None
) -> None:
    """Take a domain in; mail to it is accepted within a second.

    \b
    mailstack domain add example.org
    mailstack domain add bücher.example
    mailstack domain add example.net --kind relay --next-hop mail.example.net:25
    """
    kind = kind or ("relay" if next_hop else "local")
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
@click.option("--kind", type=click.Choice(["local", "relay"]), help="See `domain add --help`.")
@click.option("--next-hop", metavar="HOST[:PORT]", help="Where mail of a relay domain goes; `none` takes it away.")
@click.option("--expire-days", metavar="DAYS", help="POP3 EXPIRE; `none` for the config's.")
@click.option("--login-delay", metavar="SECONDS", help="POP3 LOGIN-DELAY; `none` for the config's.")
@pass_host
def change(
    host: Host, name: str, kind: str | None, next_hop: str | None, expire_days: str | None, login_delay: str | None
) -> None:
    """Change what is named of a domain; the rest stays.

    \b
    mailstack domain change example.org --expire-days 30
    """
    view = host.read(domains.get, name)
    terms = DomainTerms(
        kind or view.kind,
        _kept_hop(view, kind) if next_hop is None else _or_none(next_hop),
        view.expire_days if expire_days is None else _number(expire_days),
        view.login_delay_seconds if login_delay is None else _number(login_delay),
    )
    view = host.write(domains.change, name, terms)
    click.echo(f"{view.for_people} is changed")


@command.command()
@click.argument("name")
@click.option("--with-accounts", is_flag=True, help="Remove its accounts with all their mail, and its aliases, too.")
@click.option("--dry-run", is_flag=True, help="Only say what would go with it.")
@pass_host
def remove(host: Host, name: str, with_accounts: bool, dry_run: bool) -> None:
    """Let a domain go; with accounts and aliases in it only when that is said.

    \b
    mailstack domain remove example.org --dry-run              says what would go
    """
    if dry_run:
        gone = host.read(removal.preview_domain, name)
        mail = f"{gone.messages} messages ({write_size(gone.octets)})"
        click.echo(f"{name} would go, with {gone.accounts} accounts, {mail}, {gone.aliases} aliases")
        return
    if with_accounts:
        removal.remove_domain(host.database, host.actor, name, host.contents)
    else:
        host.write(domains.remove, name)
    click.echo(f"{name} is no longer a domain of this host")


def _kept_hop(view: DomainView, kind: str | None) -> str | None:
    """The next hop that stays when none is named: it goes with the relay domain that needed it."""
    return None if kind == "local" else view.next_hop


def _or_none(text: str) -> str | None:
    return None if text in ("none", "") else text


def _number(text: str) -> int | None:
    if _or_none(text) is None:
        return None
    if not (text.isdecimal() and text.isascii()):
        raise click.BadParameter(f"{text} is no number; give a number, or `none`")
    return int(text)


def _told(view: DomainView) -> dict[str, Any]:
    return {"name": view.name, "unicode": view.for_people, **dataclasses.asdict(view)}
