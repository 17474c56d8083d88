"""Rows into a table, many at a time: the hottest inserts of the mail path.

SQLite's driver gives up Python's lock and takes it back for each row of an `executemany`, and while the reactor is busy
each time costs more than the row; so many rows go in by one statement, and below SQLAlchemy. Neighbours: `acceptance`,
`timeline` and `usage`.
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
    if not rows:
        return
    columns = tuple(rows[0])
    placeholder = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    values = itemgetter(*columns)
    cursor = connection.connection.cursor()
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = rows[start : start + CHUNK_ROWS]
        statement = _statement(table.name, columns, len(chunk), placeholder, on_conflict)
        cursor.execute(statement, list(chain.from_iterable(map(values, chunk))))


@lru_cache(maxsize=1024)
def _statement(table: str, columns: tuple[str, ...], rows: int, placeholder: str, on_conflict: str) -> str:
    row = f"({', '.join([placeholder] * len(columns))})"
    inserted = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"  # noqa: S608 -- our names
    return f"{inserted} {on_conflict}"
