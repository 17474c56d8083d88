"""`mailstack restore FILE`: an empty host becomes the one that was backed up, by `store/restoring`."""

from pathlib import Path

import click

from mailstack.cli.host import Host, counted, pass_host
from mailstack.store import migrate
from mailstack.store.restoring import restore_backup


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--send-queue", is_flag=True, help="Send the mail that waited; else it is held, as it may be sent twice.")
@pass_host
def command(host: Host, file: Path, send_queue: bool) -> None:
    """Restore a whole host from FILE. The config is there already; domains, accounts and administrators are not."""
    migrate.upgrade(host.config.database, host.config.data)
    mails = restore_backup(
        host.database,
        Path(host.config.content),
        file,
        revision=migrate.head(),
        inline_octets=host.config.inline_content,
        send_queue=send_queue,
    )
    click.echo(f"restored, with {counted(mails, 'mail')} in all mailboxes")
