"""What the nouns share: the host a command is about, and ways to print a table, one JSON document, a password prompt.

`Host` reads the config and opens the database when first asked, and acts as the person at the command line.
"""

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

    from mailstack.config import Config
    from mailstack.management.actor import Actor
    from mailstack.store.content import ContentStore
    from mailstack.store.database import Connection, Database

P = ParamSpec("P")
T = TypeVar("T")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)


class Host:
    """The host of the config that was named, opened as far as a command needs it."""

    def __init__(self, config_named: str | None) -> None:
        self._config_named = config_named
        self._opened: Database | None = None

    @cached_property
    def config_file(self) -> "Path":
        """The config; ConfigError when there is none."""
        from mailstack.config_file import find_config

        return find_config(self._config_named, os.environ)

    @cached_property
    def config(self) -> "Config":
        """The settings; ConfigError when they cannot be used."""
        return self.read_config()

    def read_config(self) -> "Config":
        """The settings as they stand now; ConfigError when they cannot be used."""
        from mailstack.config_file import load_config

        return load_config(self.config_file, os.environ)

    @cached_property
    def database(self) -> "Database":
        """The database, which must be there."""
        from mailstack.management.actor import Refused
        from mailstack.store.database import Database

        database = Database.open(self.config.database, self.config.data)
        if database.is_sqlite and not os.path.exists(str(database.url.database)):
            raise Refused(f"{database.url.database}: there is no database; make it with `mailstack db upgrade`")
        self._opened = database
        return database

    @cached_property
    def contents(self) -> "ContentStore":
        """Where content lies in files."""
        from pathlib import Path

        from mailstack.store.content import ContentStore

        return ContentStore(Path(self.config.content), self.config.inline_content)

    @cached_property
    def actor(self) -> "Actor":
        """The person at the command line, who may do everything."""
        from mailstack.management.actor import Actor

        name = "unknown"
        with suppress(OSError, KeyError):  # a user number without a name
            name = getpass.getuser()
        return Actor(f"cli:{name}", "command line", all_domains=True)

    def read(self, act: "Callable[Concatenate[Connection, Actor, P], T]", *arguments: P.args, **options: P.kwargs) -> T:
        """Run a question of `management/`."""
        return self.database.read_now(lambda connection: act(connection, self.actor, *arguments, **options))

    def write(
        self, act: "Callable[Concatenate[Connection, Actor, P], T]", *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Run an act of `management/` in a transaction of its own."""
        return self.database.write_now(lambda connection: act(connection, self.actor, *arguments, **options))

    def close(self) -> None:
        """Close what was opened."""
        if self._opened is not None:
            self._opened.close()


pass_host = click.make_pass_decorator(Host)


def new_password(from_stdin: bool) -> str:
    """A new password: the first line of standard input, or asked twice without showing it.

    Raises:
        click.ClickException: no line, or nobody to ask.
    """
    if from_stdin:
        line = sys.stdin.readline()
        if not line:
            raise click.ClickException("no password came on standard input; pipe one in, as its first line")
        return line.rstrip("\r\n")
    if not _is_terminal():
        raise click.ClickException("there is no terminal to ask for the password; give it by --password-stdin")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)
    return password


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def print_json(document: Any) -> None:
    """Print one JSON document."""
    click.echo(_dump(document))


def print_json_list(items: Iterable[Any]) -> None:
    """Print one JSON list, an item a line, without holding it all."""
    lead = "["
    for item in items:
        click.echo(f"{lead}\n{_dump(item)}", nl=False)
        lead = ","
    click.echo("[]" if lead == "[" else "\n]")


def _dump(document: Any) -> str:
    utf8 = (getattr(sys.stdout, "encoding", "") or "").lower().startswith("utf")
    return json.dumps(document, ensure_ascii=not utf8, default=_dump_other)


def _dump_other(value: object) -> str:
    return iso(value) if isinstance(value, datetime) else str(value)


def iso(moment: datetime) -> str:
    """A time as JSON and tables show it: ISO 8601, UTC."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> None:
    """Print aligned columns, or a word on stderr when there is no row."""
    cells = [[plain(cell) for cell in row] for row in rows]
    if not cells:
        click.echo(nothing, err=True)
        return
    table = [list(titles), *cells]
    widths = [max(len(row[column]) for row in table) for column in range(len(titles))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print names and values, a line each."""
    lines = [(name, plain(value)) for name, value in facts]
    width = max(len(name) for name, _ in lines) + 2
    for name, value in lines:
        click.echo(f"{name.ljust(width)}{value}")


def plain(value: object) -> str:
    """A value as text for a terminal; what a peer said may not move its cursor."""
    if value is None or value == "":
        return "-"
    text = iso(value) if isinstance(value, datetime) else str(value)
    return "".join(c if c.isprintable() else " " for c in text)


def counted(number: int, noun: str, nouns: str = "") -> str:
    """`1 mail`, `2 mails`; `nouns` is the plural when it is another."""
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"


def all_pages(page: Callable[[Any], list[T]], key: Callable[[T], Any], first: Any, size: int) -> Iterator[T]:
    """Everything that a paged question gives, page after page."""
    after = first
    while True:
        rows = page(after)
        yield from rows
        if len(rows) < size:
            return
        after = key(rows[-1])
