"""`mailstack account app-password|forward|vacation`: faces on the acts that an account's owner has in the panel too."""

import sys
from datetime import UTC, datetime

import click

from mailstack.cli.host import Host, json_option, pass_host, print_facts, print_json, print_table
from mailstack.management import app_passwords, forwards, vacations
from mailstack.management.forwards import ForwardsView
from mailstack.management.vacations import Vacation

_DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"])


@click.group("app-password")
def app_password() -> None:
    """Passwords for single devices and programs, made by the host.

    \b
    mailstack account app-password add ann@example.org phone
    mailstack account app-password revoke ann@example.org phone
    """


@app_password.command("add")
@click.argument("address")
@click.argument("name")
@pass_host
def add_app_password(host: Host, address: str, name: str) -> None:
    """Make an app password for the device or program of that NAME; it is shown this once."""
    password = app_passwords.make_app_password()
    host.write(app_passwords.add, address, name, password)
    click.echo(password)


@app_password.command("list")
@click.argument("address")
@json_option
@pass_host
def list_app_passwords(host: Host, address: str, as_json: bool) -> None:
    """List the app passwords of an account, by their names."""
    views = host.read(app_passwords.find, address)
    if as_json:
        print_json([{"name": view.name, "created_at": view.created_at} for view in views])
        return
    print_table(("NAME", "CREATED"), [(view.name, view.created_at) for view in views], "there is no app password")


@app_password.command("revoke")
@click.argument("address")
@click.argument("name")
@pass_host
def revoke_app_password(host: Host, address: str, name: str) -> None:
    """Make an app password void at once; the others go on to work."""
    host.write(app_passwords.revoke, address, name)
    click.echo(f'the app password "{name}" of {address} is void')


@click.command("forward")
@click.argument("address")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@click.option("--no-copy", is_flag=True, help="Keep no copy in the account's own mailbox.")
@click.option("--off", is_flag=True, help="End all forwards.")
@json_option
@pass_host
def forward(host: Host, address: str, targets: tuple[str, ...], no_copy: bool, off: bool, as_json: bool) -> None:
    """Send an account's mail on to TARGETs, in place of those before; without any, show them.

    \b
    mailstack account forward ann@example.org ann@example.net --no-copy
    mailstack account forward ann@example.org --off
    """
    if targets and off:
        raise click.UsageError("--off ends all forwards; name no target with it")
    if targets or off:
        view = host.write(forwards.change, address, targets, keeps_copy=not no_copy)
    else:
        view = host.read(forwards.get, address)
    if as_json:
        print_json({"targets": [str(target) for target in view.targets], "keeps_copy": view.keeps_copy})
    else:
        click.echo(f"{address} {_told(view)}")


def _told(view: ForwardsView) -> str:
    if not view.targets:
        return "forwards nothing"
    to = ", ".join(target.for_people for target in view.targets)
    return f"forwards to {to} and keeps {'a' if view.keeps_copy else 'no'} copy"


@click.command("vacation")
@click.argument("address")
@click.option("--text-stdin", is_flag=True, help="Set a reply: its text is read from standard input.")
@click.option("--subject", default="", help="Its subject; else that of the mail which is answered.")
@click.option("--from", "starts_at", type=_DAY, help="When it begins, UTC; else now.")
@click.option("--until", "ends_at", type=_DAY, help="When it ends, UTC; else when it is taken back.")
@click.option("--off", is_flag=True, help="Take the reply back.")
@json_option
@pass_host
def vacation(
    host: Host,
    address: str,
    text_stdin: bool,
    subject: str,
    starts_at: datetime | None,
    ends_at: datetime | None,
    off: bool,
    as_json: bool,
) -> None:
    """Answer mail by itself while somebody is away; without an option, show the reply.

    \b
    echo "I am back on Monday." | mailstack account vacation ann@example.org --text-stdin --until 2027-01-04
    mailstack account vacation ann@example.org --off
    """
    if text_stdin and off:
        raise click.UsageError("--off takes the reply back; leave --text-stdin out")
    if text_stdin:
        wanted = Vacation(subject, sys.stdin.read(), _utc(starts_at), _utc(ends_at))
        host.write(vacations.change, address, wanted)
    elif off:
        host.write(vacations.change, address, None)
    view = host.read(vacations.get, address)
    if as_json:
        print_json(view and {"subject": view.subject, "text": view.body, "from": view.starts_at, "until": view.ends_at})
    elif view is None:
        click.echo(f"{address} answers nothing by itself")
    else:
        print_facts([("subject", view.subject), ("from", view.starts_at), ("until", view.ends_at), ("text", view.body)])


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
