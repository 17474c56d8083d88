"""`mailstack trace`: a face on `management/trace`."""

from typing import Any

import click

from mailstack.cli.host import Host, json_option, pass_host, plain, print_json_list
from mailstack.config_values import write_size
from mailstack.management import trace


@click.command("trace")
@click.argument("what", metavar="MESSAGE-ID|ADDRESS|QUEUE-ID")
@json_option
@pass_host
def command(host: Host, what: str, as_json: bool) -> None:
    """Tell what became of each message that matches, newest first.

    \b
    mailstack trace ann@example.org               from or to an address
    mailstack trace M0Q3ZT5K7WXAB2C               the ID of the 250 and of the Received header
    mailstack trace '<20261124@example.org>'      the Message-ID
    """
    messages = host.read(trace.trace, what)
    if as_json:
        print_json_list(messages)
        return
    if not messages:
        days = host.config.queue.keep_history.days
        click.echo(f"no message is known by {plain(what)}; the history goes back {days} days", err=True)
    for number, message in enumerate(messages):
        if number:
            click.echo()
        print_timeline(message)


def print_timeline(message: dict[str, Any]) -> None:
    """Print one message's story."""
    sender = plain(message["reverse_path"]) if message["reverse_path"] else "<> (a report)"
    click.echo(f"{message['message']}  from {sender}  {write_size(message['size'])}")
    for event in message["events"]:
        words = [event["at"], event["event"].ljust(9)]
        words += [plain(event[part]) for part in ("recipient", "detail") if event[part]]
        click.echo("  " + "  ".join(words))
