"""`mailstack restore FILE`: an empty host becomes the one that was backed up, or a part of it comes back.

Neighbours: `store/restoring` for the whole, `management/partial_restore` for an account or a domain.
"""

import os
from pathlib import Path

import click

from mailstack.cli.db import require_head
from mailstack.cli.host import Host, counted, pass_host
from mailstack.management.partial_restore import Restored, account_scope, domain_scope, restore_part
from mailstack.operations.host_files import restored_host
from mailstack.operations.new_host import CONFIG
from mailstack.store import migrate
from mailstack.store.picking import Scope
from mailstack.store.restoring import restore_backup


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="The folder to make the whole host in, config too."
)
@click.option("--account", metavar="ADDRESS", help="Only that account and its mail, into this host as it is.")
@click.option("--domain", metavar="DOMAIN", help="Only that domain: its accounts, their mail, its aliases.")
@click.option("--dry-run", is_flag=True, help="With --account or --domain: say what would be done, change nothing.")
@click.option("--send-queue", is_flag=True, help="Send the mail that waited; else it is held, as it may be sent twice.")
@pass_host
def command(
    host: Host,
    file: Path,
    data: Path | None,
    account: str | None,
    domain: str | None,
    dry_run: bool,
    send_queue: bool,
) -> None:
    """Restore a whole host from FILE.

    With --data all of it goes into an empty folder, on an empty machine. Without, the config is there already, but no
    domain, account or administrator.

    With --account or --domain a host that has them comes by what it lost, also while it runs: accounts that are gone
    are made again with their passwords, mail that is there is left alone.

    \b
    mailstack restore mail-1.backup --data /var/lib/mailstack
    mailstack restore mail-1.backup --account ann@example.org --dry-run
    """
    if account and domain:
        raise click.UsageError("--account and --domain do not go together; name one")
    if account or domain:
        if send_queue or data:
            raise click.UsageError("--send-queue and --data are for a whole host; leave them out")
        _restore_part(host, file, account_scope(account) if account else domain_scope(domain or ""), dry_run)
        return
    if dry_run:
        raise click.UsageError("--dry-run is for --account or --domain; name one")
    if data is None:
        _restore_all(host, file, send_queue)
        return
    with restored_host(file, data, os.environ) as config:
        new = Host(str(config))
        try:
            _restore_all(new, file, send_queue)
        finally:
            new.close()
    click.echo(f"the config is {data / CONFIG}; see that all is well with `mailstack --config {data / CONFIG} check`")


def _restore_all(host: Host, file: Path, send_queue: bool) -> None:
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


def _restore_part(host: Host, file: Path, scope: Scope, dry_run: bool) -> None:
    require_head(host)
    told = restore_part(
        host.database,
        Path(host.config.content),
        host.actor,
        file,
        scope,
        revision=migrate.head(),
        inline_octets=host.config.inline_content,
        dry_run=dry_run,
    )
    made = _made(told)
    if dry_run:
        click.echo(f"the backup of {told.made_at}: would make {made}")
        click.echo(f"{counted(told.mails, 'mail')} would be restored, {told.were_there} there; nothing was changed")
        return
    was = "was" if told.were_there == 1 else "were"
    click.echo(f"the backup of {told.made_at}: made {made}")
    click.echo(f"{counted(told.mails, 'mail')} restored, {told.were_there} {was} there")


def _made(told: Restored) -> str:
    parts = (
        counted(told.domains, "domain"),
        counted(told.accounts, "account"),
        counted(told.aliases, "alias", "aliases"),
    )
    return ", ".join(part for part in parts if not part.startswith("0 ")) or "no account or alias, as all are there"
