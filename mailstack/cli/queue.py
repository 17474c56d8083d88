"""`mailstack queue`: a face on `management/queue`."""

import sys
from collections.abc import Iterator
from typing import Any

import click

from mailstack.cli.host import (
    Host,
    json_option,
    pass_host,
    plain,
    print_facts,
    print_json,
    print_json_list,
    print_table,
)
from mailstack.cli.trace import print_timeline
from mailstack.config_values import write_size
from mailstack.management import queue, trace
from mailstack.management.actor import Refused
from mailstack.management.acts import read_domain
from mailstack.management.queue import Act, Selection


@click.group("queue")
def command() -> None:
    """Mail that waits for another host, or is held.

    An ID is a delivery's number (one recipient) or a message's queue ID (all its recipients that are left).

    \b
    mailstack queue list --domain example.com
    mailstack queue retry --all
    mailstack queue drop 4711 M0Q3ZT5K7WXAB2C
    """


@command.command("list")
@click.option("--domain", help="Only recipients of this domain.")
@json_option
@pass_host
def list_(host: Host, domain: str | None, as_json: bool) -> None:
    """List what waits or is held, oldest first, with the other side's last words."""
    selection = Selection(domain=read_domain(domain) if domain else None)
    rows = _rows(host, selection)
    if as_json:
        print_json_list(rows)
        return
    table = [
        (row["id"], row["message"], row["recipient"], _state(row), row["attempts"], _next(row), row["last_reply"][:60])
        for row in rows
    ]
    print_table(("ID", "MESSAGE", "RECIPIENT", "STATE", "TRIES", "NEXT TRY", "LAST REPLY"), table, "nothing waits")


@command.command()
@click.argument("id_", metavar="ID")
@json_option
@pass_host
def show(host: Host, id_: str, as_json: bool) -> None:
    """Show one delivery, or those of one message, with the timeline."""
    rows = list(_rows(host, Selection.of([id_])))
    if not rows:
        raise Refused(f"{id_}: nothing of that name waits or is held; `mailstack trace` tells what has ended")
    [message] = host.read(trace.trace, rows[0]["message"])
    if as_json:
        print_json({**message, "deliveries": rows})
        return
    for row in rows:
        print_facts({**row, "size": write_size(row["size"])}.items())
        click.echo()
    print_timeline(message)


def _selecting(act: Act, does: str, done: str) -> None:
    """Add the verb of an act, which works on IDs, a domain, or everything."""

    @command.command(act.value, help=f"{does}\n\nName IDs, or --domain, or --all.")
    @click.argument("ids", metavar="[ID]...", nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="Everything that waits or is held.")
    @click.option("--domain", help="All recipients of this domain.")
    @pass_host
    def verb(host: Host, ids: tuple[str, ...], everything: bool, domain: str | None) -> None:
        if bool(ids) + everything + bool(domain) != 1:
            raise click.UsageError("name either IDs, or --domain, or --all", click.get_current_context())
        selection = Selection.of(ids, read_domain(domain) if domain else None)
        count = queue.act(host.database, host.actor, act, selection, host.contents, _show_progress)
        click.echo(f"{count} {'delivery' if count == 1 else 'deliveries'} {done}")


_selecting(Act.RETRY, "Try what waits again, at once.", "will be tried at once")
_selecting(Act.HOLD, "Hold what waits until it is released.", "held; let go with `mailstack queue release`")
_selecting(Act.RELEASE, "Let go what is held, whatever held it.", "released")
_selecting(Act.DROP, "End deliveries; the sender is told nothing.", "dropped")


def _rows(host: Host, selection: Selection) -> Iterator[dict[str, Any]]:
    for page in queue.pages(host.database, host.actor, selection):
        for row in page:
            yield {key: value for key, value in row.items() if key != "number"}


def _state(row: dict[str, Any]) -> str:
    return f"held ({plain(row['held_by'])})" if row["state"] == "held" else str(row["state"])


def _next(row: dict[str, Any]) -> str | None:
    return str(row["next_attempt_at"]) if row["state"] == "waiting" else None


def _show_progress(done: int) -> None:
    if done >= 1000 and sys.stderr.isatty():
        click.echo(f"\r{done} …", nl=False, err=True)
