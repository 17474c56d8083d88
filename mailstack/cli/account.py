"""`mailstack account`: a face on `management/accounts` and `management/removal`; more in `account_services`."""

import sys
from collections.abc import Iterator
from typing import Any, TextIO

import click

from mailstack.cli import account_services
from mailstack.cli.host import (
    Host,
    all_pages,
    json_option,
    new_password,
    pass_host,
    password_option,
    print_facts,
    print_json,
    print_json_list,
    print_table,
)
from mailstack.config_values import parse_size, write_size
from mailstack.management import account_import, accounts, freezing, removal
from mailstack.management.accounts import AccountView
from mailstack.management.acts import make_hashes

_BATCH = 1000


def _read_quota(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None or value == "none":
        return None
    try:
        return parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group("account")
def command() -> None:
    """Who has a mailbox here and may send.

    \b
    mailstack account add ann@example.org --quota 2G
    mailstack account list --domain example.org
    mailstack account suspend ann@example.org
    """


@command.command()
@click.argument("address")
@password_option
@click.option("--quota", metavar="SIZE", callback=_read_quota, help="Bound of the mailbox, like 500M or 1G.")
@pass_host
def add(host: Host, address: str, password_stdin: bool, quota: int | None) -> None:
    """Make an account; it receives and may log in within a second.

    \b
    mailstack account add ann@example.org                      asks for the password
    pwgen 16 1 | mailstack account add ann@example.org --password-stdin --quota 1G
    """
    hashes = make_hashes(new_password(password_stdin))
    view = host.write(accounts.add, address, hashes, quota)
    click.echo(f"{view.address.for_people} is an account of this host")


@command.command("list")
@click.option("--domain", "domain_name", help="Only accounts of this domain.")
@click.option("--search", default="", help="Only addresses that contain this.")
@json_option
@pass_host
def list_(host: Host, domain_name: str | None, search: str, as_json: bool) -> None:
    """List accounts by domain and name."""
    views = _all(host, domain_name, search)
    if as_json:
        print_json_list(_told(view) for view in views)
        return
    rows = [
        (
            view.address.for_people,
            "frozen" if view.frozen_at else view.state,
            view.used_messages,
            write_size(view.used_octets),
            _quota(view),
        )
        for view in views
    ]
    print_table(("ACCOUNT", "STATE", "MESSAGES", "USED", "QUOTA"), rows, "there is no such account")


@command.command("import")
@click.argument("file", type=click.File(encoding="utf-8-sig"))
@click.option("--dry-run", is_flag=True, help="Only say what would be done and what cannot.")
@pass_host
def import_(host: Host, file: TextIO, dry_run: bool) -> None:
    """Make an account of each line of a CSV FILE: address, password, quota. `-` is standard input.

    A first line may name the columns, in any order: address, password or hash, quota. A hash is argon2, bcrypt,
    SHA-512-crypt, SHA-256-crypt or SSHA.

    \b
    mailstack account import people.csv --dry-run
    """
    wishes = account_import.read_wishes(_text_of(file))
    if dry_run:
        results = iter(host.read(account_import.try_out, wishes))
    else:
        results = account_import.carry_out(host.database, host.actor, wishes)
    made = 0
    for result in results:
        made += not result.trouble
        if result.trouble:
            click.echo(f"line {result.line}: {result.address}: {result.trouble}", err=True)
        elif sys.stderr.isatty():
            click.echo(f"\r{made} accounts", nl=False, err=True)
    click.echo(f"{made} of {len(wishes)} accounts {'would be made' if dry_run else 'are made'}")
    if made < len(wishes):
        raise click.exceptions.Exit(1)


def _text_of(file: TextIO) -> str:
    try:
        return file.read()
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name} is not in UTF-8; save it so, then try again") from None


@command.command()
@click.argument("address")
@json_option
@pass_host
def show(host: Host, address: str, as_json: bool) -> None:
    """Show one account."""
    view = host.read(accounts.get, address)
    if as_json:
        print_json(_told(view))
        return
    print_facts(
        [
            ("address", view.address.for_people),
            ("state", view.state),
            ("frozen", view.frozen_why if view.frozen_at else None),
            ("messages", view.used_messages),
            ("used", write_size(view.used_octets)),
            ("quota", _quota(view)),
            ("last login", view.last_login_at),
            ("created", view.created_at),
        ]
    )


@command.command()
@click.argument("address")
@password_option
@pass_host
def passwd(host: Host, address: str, password_stdin: bool) -> None:
    """Give an account a new password."""
    host.write(accounts.change_password, address, make_hashes(new_password(password_stdin)))
    click.echo(f"{address} has a new password")


@command.command()
@click.argument("address")
@click.argument("size", callback=_read_quota)
@pass_host
def quota(host: Host, address: str, size: int | None) -> None:
    """Bound the mailbox of an account: a SIZE like 1G, or `none`."""
    host.write(accounts.set_quota, address, size)
    click.echo(f"{address} has {'no quota' if size is None else f'a quota of {write_size(size)}'}")


@command.command()
@click.argument("address")
@pass_host
def suspend(host: Host, address: str) -> None:
    """Take log-in and sending from an account; it still receives."""
    host.write(accounts.set_state, address, "suspended")
    click.echo(f"{address} is suspended: it receives, but neither fetches nor sends")


@command.command()
@click.argument("address")
@pass_host
def resume(host: Host, address: str) -> None:
    """Undo `suspend`."""
    host.write(accounts.set_state, address, "active")
    click.echo(f"{address} is active")


@command.command()
@click.argument("address")
@click.option("--why", default="frozen by an administrator", show_default=True, help="What its owner reads.")
@pass_host
def freeze(host: Host, address: str, why: str) -> None:
    """Hold all that an account sends, what waits in the queue too; it receives and fetches as before."""
    host.write(freezing.freeze, address, why)
    click.echo(f"{address} is frozen: what it sends is held; let it go with `account unfreeze {address}`")


@command.command()
@click.argument("address")
@click.option("--drop", is_flag=True, help="First end all that is held for it, without a word to the sender.")
@pass_host
def unfreeze(host: Host, address: str, drop: bool) -> None:
    """Undo `freeze`: what is held goes, oldest first, as the account's limits allow.

    \b
    mailstack account unfreeze ann@example.org --drop          it was a thief of the password
    """
    if drop:
        dropped = freezing.drop_held(host.database, host.actor, address, host.contents)
        click.echo(f"{dropped} deliveries were dropped")
    host.write(freezing.unfreeze, address)
    click.echo(f"{address} may send again")


@command.command()
@click.argument("address")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@pass_host
def remove(host: Host, address: str, dry_run: bool) -> None:
    """Remove an account with all its mail; this cannot be undone.

    \b
    mailstack account remove ann@example.org --dry-run         says what would go
    """
    if dry_run:
        gone, verb = host.read(removal.preview, address), "would go"
    else:
        gone, verb = removal.remove(host.database, host.actor, address, host.contents), "is gone"
    click.echo(f"{gone.address} {verb}, with {gone.messages} messages ({write_size(gone.octets)})")
    for alias in gone.aliases_removed:
        click.echo(f"the alias {alias}, which had no other target, {verb} too")
    for alias in gone.aliases_kept:
        click.echo(f"the alias {alias} {'would lose' if dry_run else 'has lost'} this target and keeps the others")
    for account in gone.forwards:
        click.echo(f"{account} {'would forward' if dry_run else 'forwards'} here no more")


command.add_command(account_services.app_password)
command.add_command(account_services.forward)
command.add_command(account_services.vacation)


def _all(host: Host, domain_name: str | None, search: str) -> Iterator[AccountView]:
    def page(after: tuple[str, str] | None) -> list[AccountView]:
        return host.read(accounts.find, domain_name=domain_name, search=search, after=after, limit=_BATCH)

    return all_pages(page, lambda view: view.key, None, _BATCH)


def _told(view: AccountView) -> dict[str, Any]:
    return {
        "address": str(view.address),
        "unicode": view.address.for_people,
        "state": view.state,
        "frozen": view.frozen_why if view.frozen_at else None,
        "quota": view.quota_octets,
        "used": view.used_octets,
        "messages": view.used_messages,
        "last_login_at": view.last_login_at,
        "created_at": view.created_at,
    }


def _quota(view: AccountView) -> str | None:
    return None if view.quota_octets is None else write_size(view.quota_octets)
