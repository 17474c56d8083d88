"""Rows into a table, many at a time: the hottest inserts of the mail path.

SQLite's driver gives up Python's lock and takes it back for each row of an `executemany`, and while the reactor is busy
each time costs more than the row. So rows go in by multi-row statements there, below SQLAlchemy; PostgreSQL's dialect
gathers them by itself. Neighbours: `acceptance` and `timeline`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, insert

LARGEST_CHUNK = 64
"""Rows in one statement; a power of two. Others are cut by powers of two too, so that few statements are ever compiled."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows, in order; all have the columns of the first."""
    if not rows:
        return
    if connection.dialect.name != "sqlite":
        connection.execute(insert(table), rows)
        return
    columns = tuple(rows[0])
    values = itemgetter(*columns)
    cursor = connection.connection.cursor()
    for chunk in _cut(rows):
        cursor.execute(_statement(table.name, columns, len(chunk)), list(chain.from_iterable(map(values, chunk))))


def _cut(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    start = 0
    while left := len(rows) - start:
        size = min(LARGEST_CHUNK, 1 << left.bit_length() - 1)
        yield rows[start : start + size]
        start += size


@lru_cache(maxsize=256)
def _statement(table: str, columns: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"
