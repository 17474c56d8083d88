"""Fills an empty database and content folder from a backup file, in one transaction: all of it, or nothing.

Deliveries that waited are put on hold, as the old host may have sent them since. Neighbours: `snapshot` wrote the file.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, LargeBinary, Table, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from mailstack.store.archive import BackupError, Member, read_head, read_members, verify_archive
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.schema import account, administrator, content, delivery, domain, mailbox, maildrop_entry, metadata
from mailstack.store.snapshot import PAGE_ROWS, TABLES


def restore_backup(
    database: Database, contents: Path, source: Path, *, revision: str, inline_octets: int, send_queue: bool
) -> int:
    """Restore a whole host into a database at `revision` that has no domains, accounts and administrators.

    Returns:
        The number of mails in all maildrops.

    Raises:
        BackupError: the host is not empty, or the backup is damaged or of another version; nothing was changed.
        OSError: the file cannot be read or the disk does not take the content.
        StoreTrouble: the database fails now.
    """
    restoring = _Restoring(contents, source, revision, inline_octets)
    try:
        return database.write_now(lambda connection: restoring.run(connection, send_queue))
    except BaseException as error:
        restoring.remove_files()
        if isinstance(error, (ValueError, KeyError, IntegrityError)):
            verify_archive(source)  # says what is damaged
            raise BackupError(f"{source}: is no whole backup ({error}); take another one") from error
        raise


class _Restoring:
    def __init__(self, contents: Path, source: Path, revision: str, inline_octets: int) -> None:
        self._contents = ContentStore(contents, inline_octets)
        self._source = source
        self._revision = revision
        self._files: list[str] = []

    def run(self, connection: Connection, send_queue: bool) -> int:
        for table in (domain, account, administrator):
            if connection.execute(select(table.c.id).limit(1)).first():
                raise BackupError(f"this host has a row in {table.name} already; restore onto an empty one")
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
        members = read_members(self._source)
        head = open_backup(members, self._source, self._revision)
        tables = {table.name: table for table in TABLES}
        for member in members:
            kind, _, name = member.name.partition("/")
            if kind == "content":
                self._put_content(connection, int(name), member)
            elif kind == "rows":
                for rows in row_pages(tables[name], member):
                    connection.execute(insert(tables[name]), rows)
        _settle(connection, head["made_at"], send_queue)
        return connection.scalar(select(func.count()).select_from(maildrop_entry)) or 0

    def remove_files(self) -> None:
        self._contents.remove_files_now(self._files)

    def _put_content(self, connection: Connection, number: int, member: Member) -> None:
        staged = self._contents.stage_now(member.blocks())
        if staged.file:
            self._files.append(staged.file)
        connection.execute(insert(content).values(id=number, **asdict(staged)))


def open_backup(members: Iterator[Member], source: Path, revision: str) -> dict[str, Any]:
    """Take the head off, and see that its rows fit the tables of `revision`. Raises BackupError."""
    head = read_head(next(members), source)
    if head["revision"] != revision:
        raise BackupError(
            f"{source}: was made at revision {head['revision']}, this version needs {revision}; "
            "restore it with the version that made it, then upgrade"
        )
    return head


def row_pages(table: Table, member: Member) -> Iterator[list[dict[str, Any]]]:
    """The rows of a table, some at a time, as they were. Raises ValueError or KeyError when they are none."""
    binary = [column.name for column in table.c if isinstance(column.type, LargeBinary)]
    lines = member.lines()
    while chunk := list(islice(lines, PAGE_ROWS)):
        rows = [json.loads(line) for line in chunk]
        yield [row | {name: base64.b64decode(row[name]) for name in binary if row[name] is not None} for row in rows]


def _settle(connection: Connection, made_at: str, send_queue: bool) -> None:
    """What must not come back as it was: leases, locks, the queue on its way; and counts anew."""
    connection.execute(update(delivery).values(leased_until=None))
    if not send_queue:
        reason = f"restored from the backup of {made_at}: release or drop"
        connection.execute(update(delivery).where(delivery.c.state == "waiting").values(state="held", held_by=reason))
    mine = maildrop_entry.c.account_id == mailbox.c.account_id
    octets = select(func.coalesce(func.sum(maildrop_entry.c.size_octets), 0)).where(mine).scalar_subquery()
    mails = select(func.count(maildrop_entry.c.id)).where(mine).scalar_subquery()
    counts = {"used_octets": octets, "used_messages": mails}
    connection.execute(update(mailbox).values(locked_by=None, locked_until=None, **counts))
    if connection.dialect.name == "postgresql":
        for table in metadata.sorted_tables:
            if "id" in table.c and table.c.id.type.python_type is int:
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                connection.execute(text(f"SELECT setval({sequence}, max(id)) FROM {table.name}"))  # noqa: S608 -- ours
