"""The root of the command line: its nouns, loaded when called, and one line for every failure.

Exit codes: 0 done, 1 refused (`mailstack: what and why, and the mend` on stderr), 2 usage. A traceback is shown with
MAILSTACK_DEBUG=1 only.
"""

import os
import sys
import traceback
from importlib import import_module
from typing import Any, NoReturn

import click

from mailstack import __version__
from mailstack.cli.host import Host

NOUNS = {
    "init": "make a new host: config, database, certificate",
    "demo": "make a throw-away host and serve it",
    "serve": "run all services of the config",
    "check": "say what is wrong with the host, start nothing",
    "domain": "the domains whose mail we take",
    "account": "who has a mailbox here and may send",
    "alias": "addresses that mean other addresses",
    "limit": "how much may be sent, and how much was",
    "queue": "mail that waits or is held",
    "trace": "what became of a message",
    "admin": "who may sign in to the panel",
    "dns": "what DNS must say of a domain, and what it says",
    "import": "mail from another host's mailbox",
    "backup": "write all of the host to one file",
    "restore": "bring a host, a domain or an account back from a backup",
    "db": "the database's version",
}
_MODULES = {"import": "import_mail"}
"""Where a noun cannot be the name of its own module."""


class Nouns(click.Group):
    """A group whose commands are `mailstack.cli.NOUN:command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The nouns, in the order of a host's life."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a noun."""
        if cmd_name not in NOUNS:
            return None
        command: click.Command = import_module(f"mailstack.cli.{_MODULES.get(cmd_name, cmd_name)}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the nouns without loading them."""
        with formatter.section("Nouns"):
            formatter.write_dl(list(NOUNS.items()))

    def main(self, *arguments: Any, **options: Any) -> NoReturn:
        """Run, tell a failure in one line, exit."""
        _open_closed_streams()
        sys.exit(self._run(arguments, {**options, "standalone_mode": False}))

    def _run(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> int:
        try:
            result = super().main(*arguments, **options)
            sys.stdout.flush()
            return result if isinstance(result, int) else 0  # --help and --version give their exit code
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return 2
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "mailstack"
            _tell(f"{error.format_message().rstrip('.')}; see `{path} --help`")
            return 2
        except (click.Abort, KeyboardInterrupt) as error:
            # click raises Abort from the Ctrl-C that fell into work, and alone where somebody was asked
            is_midway = isinstance(error, KeyboardInterrupt) or error.__cause__ is not None
            _tell("stopped; what was done before stays" if is_midway else "given up; nothing was changed")
            return 1
        except BrokenPipeError:  # `mailstack queue list | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:
            if os.environ.get("MAILSTACK_DEBUG"):
                traceback.print_exc()
            _tell(explain(error))
            return 1


def _open_closed_streams() -> None:
    """A script may have closed them (`<&-`): Python then has None in their place, and nobody expects that."""
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115 -- for the whole run
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def explain(error: Exception) -> str:
    """What happened, why, and the mend, for any failure of a command."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if _is_ours(error):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}; check path, owner, mode and free space"
    if type(error).__name__ in ("OperationalError", "ProgrammingError"):
        cause = str(getattr(error, "orig", error)).partition("\n")[0]
        return f"the database does not have what this version needs ({cause}); run `mailstack db upgrade`"
    kind = type(error).__name__
    return f"a fault of Mailstack itself, {kind}: {error}; run it again with MAILSTACK_DEBUG=1 and report what it says"


def _is_ours(error: Exception) -> bool:
    from mailstack.config_file import ConfigError
    from mailstack.mail.source_message import SourceError
    from mailstack.management.actor import Refused
    from mailstack.net.listen import ListenError
    from mailstack.net.tls import TlsFilesError
    from mailstack.operations.certificates import CertificateError
    from mailstack.operations.new_host import HostExists
    from mailstack.operations.rights import RightsError
    from mailstack.store.archive import BackupError
    from mailstack.store.database import DatabaseUrlError, StoreTrouble

    if isinstance(error, StoreTrouble):
        error.args = (f"the database fails now ({error}); see that it runs and has room, then try again",)
    ours = (
        ConfigError,
        Refused,
        ListenError,
        TlsFilesError,
        RightsError,
        CertificateError,
        HostExists,
        SourceError,
        BackupError,
        DatabaseUrlError,
        StoreTrouble,
    )
    return isinstance(error, ours)


def _tell(message: str) -> None:
    """One line on stderr, whatever is in the message."""
    line = " ".join(message.split())
    click.echo("mailstack: " + "".join(c if c.isprintable() else "?" for c in line), err=True)


@click.command(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--config", metavar="FILE", help="The config file; else MAILSTACK_CONFIG, ./mailstack.toml or /etc's.")
@click.version_option(__version__, prog_name="mailstack", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, config: str | None) -> None:
    """A full mail host in one process.

    Begin with `mailstack demo` to look, or `mailstack init` to stay. Commands work beside a running server, which
    acts on a change within a second. `--help` behind each noun and verb is the manual.
    """
    ctx.obj = Host(config)
    ctx.call_on_close(ctx.obj.close)
