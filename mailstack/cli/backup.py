"""`mailstack backup FILE`: the database and all mail in one file, by `store/snapshot`."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from mailstack.cli.db import require_head
from mailstack.cli.host import Host, counted, pass_host
from mailstack.cli.root import explain
from mailstack.management.acts import now_micros
from mailstack.operations.host_files import host_files
from mailstack.store import migrate
from mailstack.store.archive import BackupError, verify_archive
from mailstack.store.backup_runs import BackupRun, remember_run
from mailstack.store.database import StoreTrouble
from mailstack.store.snapshot import Written, write_backup


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Write nothing: read a FILE that is there and say whether it is whole.")
@pass_host
def command(host: Host, file: Path, verify: bool) -> None:
    """Write the database and all mail to a new FILE, beside a running server too; `mailstack restore` reads it.

    FILE gets its name once it was read back. The config, the TLS key and files with passwords are in it: keep it as
    secret as those.
    """
    if verify:
        click.echo(f"{file}: is whole, {counted(verify_archive(file), 'member')}")
        return
    require_head(host)
    done = _write(host, file)
    click.echo(f"{file}: {done.size_octets} octets, read back and whole")
    if done.left_out:
        mails = counted(done.left_out, "mail")
        click.echo(f"{mails} left out, as the file was removed meanwhile, or is lost", err=True)
    for one in done.unread:
        click.echo(f"left out: {one}; copy it yourself, or let the one who makes backups read it", err=True)


def _write(host: Host, file: Path) -> Written:
    """Write it, and remember how that went."""
    place = str(file.absolute())
    try:
        done = write_backup(
            host.database,
            Path(host.config.content),
            file,
            revision=migrate.head(),
            now=datetime.now(UTC),
            files=host_files(host.config, host.config_file),
        )
    except (BackupError, OSError, StoreTrouble) as error:
        with suppress(StoreTrouble):  # what made the backup fail may make this fail too
            _remember(host, BackupRun(now_micros(), place, None, explain(error)))
        raise
    _remember(host, BackupRun(now_micros(), place, done.size_octets))
    return done


def _remember(host: Host, run: BackupRun) -> None:
    host.database.write_now(lambda connection: remember_run(connection, run))
