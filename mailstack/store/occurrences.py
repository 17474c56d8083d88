"""Counts how often each of very many names occurs, in bounded memory: a private SQLite file that nobody else sees.

Neighbour: `management/mail_import`.
"""

import sqlite3

_COUNT = (
    "INSERT INTO occurrence (name, times) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET times = times + 1"
    " RETURNING times"
)


class Occurrences:
    """How often each name was counted. Its file is gone when it is closed, or with the process."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE occurrence (name TEXT PRIMARY KEY, times INTEGER) WITHOUT ROWID")

    def count(self, name: str) -> int:
        """Count a name once more; how often it was counted by now."""
        [(times,)] = self._connection.execute(_COUNT, (name,)).fetchall()
        return int(times)

    def times(self, name: str) -> int:
        """How often a name was counted."""
        row = self._connection.execute("SELECT times FROM occurrence WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
