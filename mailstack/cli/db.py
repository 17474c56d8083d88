"""`mailstack db`: the database's version, by `store/migrate`."""

import click

from mailstack.cli.host import Host, pass_host
from mailstack.management import limits
from mailstack.management.actor import Refused
from mailstack.store import migrate


@click.group("db")
def command() -> None:
    """The database's version: which it is, and how to bring it to this program's."""


@command.command()
@pass_host
def upgrade(host: Host) -> None:
    """Bring the database to the version this program needs; harmless when it is there already.

    A new one gets the sending limits that a new host starts with.
    """
    before = migrate.current(host.config.database)
    if migrate.is_newer(before):
        raise Refused(f"the database is at {migrate.missing(before)}")
    migrate.upgrade(host.config.database)
    if before is None:
        host.write(limits.set_first_rules)
    after = migrate.head()
    click.echo(f"the database was at {after} already" if before == after else f"the database is at {after} now")


@command.command()
@pass_host
def current(host: Host) -> None:
    """Print the database's version, and the one this program needs when that is another."""
    revision = migrate.current(host.config.database)
    click.echo(revision or "nothing")
    missing = migrate.missing(revision)
    if missing is not None:
        click.echo(f"the database is at {missing}", err=True)


def require_head(host: Host) -> None:
    """Raise `Refused` unless the database is at the version this program needs."""
    missing = migrate.missing(migrate.current(host.config.database))
    if missing is not None:
        raise Refused(f"the database is at {missing}")
