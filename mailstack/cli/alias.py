"""`mailstack alias`: a face on `management/aliases`."""

from typing import Any

import click

from mailstack.cli.host import Host, all_pages, json_option, pass_host, print_json_list, print_table
from mailstack.management import aliases
from mailstack.management.aliases import AliasView

_BATCH = 1000


@click.group("alias")
def command() -> None:
    """Addresses that mean other addresses.

    \b
    mailstack alias add info@example.org ann@example.org ben@example.net
    mailstack alias add @example.org ann@example.org           the catch-all
    """


@command.command()
@click.argument("address")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@pass_host
def add(host: Host, address: str, targets: tuple[str, ...]) -> None:
    """Make an alias, or add targets to one.

    ADDRESS is of a local domain; `@domain` is the catch-all for all addresses of the domain that are nothing else. A
    TARGET is an account, another alias, or an address anywhere.
    """
    view = host.write(aliases.add, address, targets)
    click.echo(f"{view.address.for_people} means {', '.join(target.for_people for target in view.targets)}")


@command.command("list")
@click.option("--domain", "domain_name", help="Only aliases of this domain.")
@click.option("--search", default="", help="Only addresses that contain this.")
@json_option
@pass_host
def list_(host: Host, domain_name: str | None, search: str, as_json: bool) -> None:
    """List aliases by domain and name."""

    def page(after: tuple[str, str] | None) -> list[AliasView]:
        return host.read(aliases.find, domain_name=domain_name, search=search, after=after, limit=_BATCH)

    views = all_pages(page, lambda view: view.key, None, _BATCH)
    if as_json:
        print_json_list(_told(view) for view in views)
        return
    rows = [(view.address.for_people, ", ".join(target.for_people for target in view.targets)) for view in views]
    print_table(("ALIAS", "TARGETS"), rows, "there is no such alias")


@command.command()
@click.argument("address")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@pass_host
def remove(host: Host, address: str, targets: tuple[str, ...]) -> None:
    """Remove an alias, or only the targets named."""
    host.write(aliases.remove, address, targets)
    click.echo(f"{address} no longer means {', '.join(targets)}" if targets else f"{address} is no longer an alias")


def _told(view: AliasView) -> dict[str, Any]:
    return {
        "address": str(view.address),
        "unicode": view.address.for_people,
        "targets": [str(target) for target in view.targets],
    }
