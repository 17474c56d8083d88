"""`mailstack import`: a face on `management/mail_import`, with the mailboxes of `operations/mail_import`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mailstack.cli.host import Host, pass_host, plain
from mailstack.config_values import write_size
from mailstack.operations.mail_import.dovecot_uids import DEFAULT_FORMAT

if TYPE_CHECKING:
    from mailstack.mail.source_message import Source

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = (
    click.argument("path", type=click.Path(path_type=Path)),
    click.option("--account", required=True, metavar="ADDRESS", help="Whose mail it becomes."),
    click.option("--over-quota", is_flag=True, help="Take in what the account's quota does not allow, too."),
    click.option("--dry-run", is_flag=True, help="Read everything and say what would be done."),
)


def _with_options(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.group("import")
def command() -> None:
    """Mail from another host's mailbox, put into an account of this one.

    Run it again after a stop, or to fetch what came since: what the account has by its unique-id is passed over. The
    server may run meanwhile.
    """


@command.command()
@_with_options
@click.option(
    "--uidl-format", default=DEFAULT_FORMAT, show_default=True, help="Dovecot's pop3_uidl_format: %u, %v, %f, %g."
)
@pass_host
def maildir(host: Host, path: Path, account: str, over_quota: bool, dry_run: bool, uidl_format: str) -> None:
    """Import the Maildir at PATH, with the UIDLs that Dovecot gave its messages.

    Subfolders are left out, as POP3 shows one maildrop only; each is a Maildir that can be named as PATH.

    \b
    mailstack import maildir /var/mail/ann/Maildir --account ann@example.org --dry-run
    """
    from mailstack.operations.mail_import.maildir import Maildir

    source = Maildir(path, uidl_format)
    if source.subfolders:
        names = plain(", ".join(source.subfolders))
        click.echo(f"subfolders are left out: {names}; name one as PATH to import it", err=True)
    _run(host, source, f"maildir {path.absolute()}", account, over_quota, dry_run)


@command.command()
@_with_options
@pass_host
def mbox(host: Host, path: Path, account: str, over_quota: bool, dry_run: bool) -> None:
    """Import the mbox file PATH, with the UIDLs of its X-UIDL fields.

    \b
    mailstack import mbox /var/mail/ann --account ann@example.org
    """
    from mailstack.operations.mail_import.mbox import Mbox

    _run(host, Mbox(path), f"mbox {path.absolute()}", account, over_quota, dry_run)


def _run(host: Host, source: "Source", described: str, account: str, over_quota: bool, dry_run: bool) -> None:
    from mailstack.management.mail_import import Listener, Terms, import_mail

    terms = Terms(host.config.smtp.max_message_size, over_quota, dry_run)
    with click.progressbar(length=source.total, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        listener = Listener(bar.update, _tell_left_out)
        found = import_mail(
            host.database, host.actor, host.contents, account, source, plain(described), terms, listener
        )
    verb = "would be imported" if dry_run else "imported"
    click.echo(f"{verb}: {found.imported} messages, {write_size(found.octets)}")
    if found.renamed:
        click.echo(f"of those with a new unique-id, as none is known: {found.renamed}")
    if found.present:
        click.echo(f"there already: {found.present}")
    for why, count in found.left_out.most_common():
        click.echo(f"left out: {count}, each {why}")
    if found.left_out:
        raise click.exceptions.Exit(1)


def _tell_left_out(name: str, why: str) -> None:
    click.echo(f"{plain(name)}: {plain(why)}", err=True)
