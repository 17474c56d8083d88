"""`mailstack backup FILE`: the database and all mail in one file, by `store/snapshot`."""

from datetime import UTC, datetime
from pathlib import Path

import click

from mailstack.cli.db import require_head
from mailstack.cli.host import Host, pass_host
from mailstack.store import migrate
from mailstack.store.snapshot import write_backup


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@pass_host
def command(host: Host, file: Path) -> None:
    """Write the database and all mail to a new FILE, beside a running server too; `mailstack restore` reads it.

    The config, the TLS key and secret files are not in it. Keep it as secret as the mail.
    """
    require_head(host)
    size, left_out = write_backup(
        host.database, Path(host.config.content), file, revision=migrate.head(), now=datetime.now(UTC)
    )
    click.echo(f"{file}: {size} octets")
    if left_out:
        click.echo(f"{left_out} mails left out: their files were removed meanwhile, or are lost", err=True)
