"""`mailstack serve`: runs `serving`, once the database is known to be what this version needs."""

import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

import click

from mailstack.cli.host import Host, pass_host
from mailstack.config_values import split_host_port, write_host_port

if TYPE_CHECKING:
    from mailstack.config import Listen


@click.command("serve")
@pass_host
def command(host: Host) -> None:
    """Run all services of the config in this process.

    Prints `ready` once every port listens, and before it, as long as there is no administrator, the address of the
    page that makes the first one. Then comes a line for every mail event. SIGTERM ends it when running
    transactions have ended; SIGHUP reads config and certificate again and says what changed and what needs a restart.
    """
    serve_config(host)


def serve_config(host: Host) -> None:
    """Serve until told to end; `Refused` when the database is of another version."""
    from mailstack import serving
    from mailstack.cli.db import require_head

    require_head(host)
    set_up = _set_up_line(host)
    host.close()
    serving.serve(host.config, read_config=host.read_config, ready=lambda: _say_ready(set_up))


def _say_ready(set_up: str | None) -> None:
    if set_up is not None:
        click.echo(set_up)
    click.echo("ready")
    sys.stdout.flush()


def _set_up_line(host: Host) -> str | None:
    """Where the first administrator is made; None when there is one, or no panel."""
    from mailstack.management.set_up import make_setup_token

    panel = panel_url(host.config.hostname, host.config.listen)
    token = host.database.write_now(make_setup_token) if panel else None
    return f"set-up: {panel}setup?token={token}" if token else None


def panel_url(hostname: str, listen: "Listen") -> str | None:
    """Where a browser on this machine finds the panel; None = it is turned off."""
    for scheme, endpoints in (("https", listen.https), ("http", listen.http)):
        for endpoint in endpoints:
            if endpoint.startswith("systemd:"):
                return f"{scheme}://{hostname}/"
            address, port = split_host_port(endpoint)
            is_any = ip_address(address).is_unspecified
            return f"{scheme}://{write_host_port(hostname if is_any else address, port)}/"
    return None
