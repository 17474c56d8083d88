"""`mailstack serve`: runs `app`, once the database is known to be what this version needs."""

import sys

import click

from mailstack.cli.host import Host, pass_host


@click.command("serve")
@pass_host
def command(host: Host) -> None:
    """Run all services of the config in this process.

    Prints `ready` once every port listens, and a line for every mail event on stderr. SIGTERM ends it when running
    transactions have ended; SIGHUP reads the certificate again.
    """
    serve_config(host)


def serve_config(host: Host) -> None:
    """Serve until told to end; `Refused` when the database is of another version."""
    from mailstack import app
    from mailstack.cli.db import require_head

    require_head(host)
    host.close()
    app.serve(host.config, ready=say_ready)


def say_ready() -> None:
    """Print `ready`."""
    click.echo("ready")
    sys.stdout.flush()
