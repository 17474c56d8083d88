"""Rows into a table and changes to its rows, many at a time: the hottest statements of the mail path.

SQLite's driver gives up Python's lock and takes it back for each row of an `executemany`, and while the reactor is busy
each time costs more than the row; so many rows go in by one statement, and below SQLAlchemy. Neighbours: `acceptance`,
`timeline`, `usage`, `claims` and `spool`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table

CHUNK_ROWS = 32
"""Rows in one statement: as many as usually share a commit. Each number of rows is a statement that stays compiled."""


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, on_conflict: str = ""
) -> None:
    """Add rows, in order; all have the columns of the first.

    `on_conflict` is the clause of that name, for an upsert; no two rows may then have the same key.
    """
    _run(connection, f"INSERT INTO {table.name} ({{columns}}) VALUES {{rows}} {on_conflict}", rows)  # noqa: S608 -- ours


def change_rows(connection: Connection, change: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run an UPDATE that takes its values from a table `given` of these rows; all have the columns of the first."""
    _run(connection, f"WITH given ({{columns}}) AS (VALUES {{rows}}) {change}", rows)


def _run(connection: Connection, template: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    columns = tuple(rows[0])
    values = itemgetter(*columns)
    placeholder = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    cursor = connection.connection.cursor()
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = rows[start : start + CHUNK_ROWS]
        statement = _statement(template, columns, len(chunk), placeholder)
        cursor.execute(statement, list(chain.from_iterable(map(values, chunk))))


@lru_cache(maxsize=1024)
def _statement(template: str, columns: tuple[str, ...], rows: int, placeholder: str) -> str:
    row = f"({', '.join([placeholder] * len(columns))})"
    return template.format(columns=", ".join(columns), rows=", ".join([row] * rows))
