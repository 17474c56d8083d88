"""`mailstack admin`: a face on `management/administrators`."""

from typing import Any

import click

from mailstack.cli.host import Host, json_option, new_password, pass_host, password_option, print_json, print_table
from mailstack.management import administrators, factors
from mailstack.management.acts import make_hashes
from mailstack.management.administrators import AdministratorView


@click.group("admin")
def command() -> None:
    """Who may sign in to the panel.

    \b
    mailstack admin add root                                   of the whole host
    mailstack admin add olga --domain example.org              of one domain
    """


@command.command()
@click.argument("name")
@click.option("--domain", "domains", multiple=True, help="Administrator of this domain only; may be repeated.")
@password_option
@pass_host
def add(host: Host, name: str, domains: tuple[str, ...], password_stdin: bool) -> None:
    """Make an administrator, of the whole host or of domains."""
    hashes = make_hashes(new_password(password_stdin))
    view = host.write(administrators.add, name, hashes.hash, domains)
    click.echo(f"{view.name} is an administrator of {', '.join(view.domains) or 'all domains'}")


@command.command("list")
@json_option
@pass_host
def list_(host: Host, as_json: bool) -> None:
    """List the administrators by name."""
    views = host.read(administrators.find)
    if as_json:
        print_json([_told(view) for view in views])
        return
    rows = [(view.name, ", ".join(view.domains) or "all", view.created_at) for view in views]
    print_table(("ADMINISTRATOR", "DOMAINS", "CREATED"), rows, "there is no administrator yet")


@command.command()
@click.argument("name")
@password_option
@pass_host
def passwd(host: Host, name: str, password_stdin: bool) -> None:
    """Give an administrator a new password."""
    host.write(administrators.change_password, name, make_hashes(new_password(password_stdin)).hash)
    click.echo(f"{name} has a new password")


@command.command()
@click.argument("name")
@pass_host
def unlock(host: Host, name: str) -> None:
    """Take the second steps from who lost them, an administrator or an account: the password is enough again."""
    host.write(factors.reset, name)
    click.echo(f"{name} signs in with the password alone; a new second step can be added in the panel")


@command.command()
@click.argument("name")
@pass_host
def remove(host: Host, name: str) -> None:
    """Remove an administrator."""
    host.write(administrators.remove, name)
    click.echo(f"{name} is no longer an administrator")


def _told(view: AdministratorView) -> dict[str, Any]:
    return {
        "name": view.name,
        "all_domains": view.all_domains,
        "domains": list(view.domains),
        "created_at": view.created_at,
    }
