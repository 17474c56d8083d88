"""Fills an empty database and content folder from a backup file, in one transaction: all of it, or nothing.

Deliveries that waited are put on hold, as the old host may have sent them since. Neighbours: `snapshot` wrote the file.
"""

import base64
import hashlib
import json
import os
import secrets
import tarfile
import zlib
from itertools import islice
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, LargeBinary, Table, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from mailstack.store.database import Database
from mailstack.store.schema import account, administrator, content, delivery, domain, mailbox, maildrop_entry, metadata
from mailstack.store.snapshot import FORMAT, PAGE_ROWS, TABLES, BackupError, HashingReader

BLOCK_OCTETS = 256 * 1024


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
    written: list[Path] = []
    restoring = _Restoring(contents, inline_octets, written)
    try:
        return database.write_now(lambda connection: restoring.run(connection, source, revision, send_queue))
    except BaseException as error:
        for path in written:
            path.unlink(missing_ok=True)
        if isinstance(error, (tarfile.TarError, EOFError, zlib.error, ValueError, KeyError, IntegrityError)):
            raise BackupError(f"{source}: is no whole backup ({error}); take another one") from error
        raise


class _Restoring:
    def __init__(self, contents: Path, inline_octets: int, written: list[Path]) -> None:
        self._contents = contents
        self._inline_octets = inline_octets
        self._written = written
        self._digest = hashlib.sha256()

    def run(self, connection: Connection, source: Path, revision: str, send_queue: bool) -> int:
        for table in (domain, account, administrator):
            if connection.execute(select(table.c.id).limit(1)).first():
                raise BackupError(f"this host has a row in {table.name} already; restore onto an empty one")
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
        self._digest = hashlib.sha256()
        manifest = self._read_members(connection, source)
        if manifest["format"] != FORMAT or manifest["revision"] != revision:
            raise BackupError(
                f"{source}: was made at revision {manifest['revision']}, this version needs {revision}; "
                "restore it with the version that made it, then upgrade"
            )
        _settle(connection, manifest["made_at"], send_queue)
        return connection.scalar(select(func.count()).select_from(maildrop_entry)) or 0

    def _read_members(self, connection: Connection, source: Path) -> dict[str, Any]:
        tables = {table.name: table for table in TABLES}
        with tarfile.open(source, "r|gz") as tar:
            for member in tar:
                file = tar.extractfile(member)
                kind, _, name = member.name.partition("/")
                if file is None:
                    raise ValueError(f"{member.name} is no file")
                if kind == "manifest.json":
                    manifest: dict[str, Any] = json.load(file)
                    if manifest["sha256"] != self._digest.hexdigest():
                        raise ValueError("its SHA-256 is another than its manifest says")
                    return manifest
                self._digest.update(f"{member.name} {member.size}\n".encode())
                reader: Any = HashingReader(file, self._digest)
                if kind == "content":
                    self._put_content(connection, int(name), member.size, reader)
                else:
                    self._put_rows(connection, tables[name], file)
        raise ValueError("it has no manifest")

    def _put_content(self, connection: Connection, number: int, size: int, reader: IO[bytes]) -> None:
        values: dict[str, Any] = {"id": number, "size_octets": size}
        if size <= self._inline_octets:
            values["body"] = reader.read(size)
        else:
            values["file"] = self._write_file(reader)
        connection.execute(insert(content).values(values))

    def _write_file(self, reader: IO[bytes]) -> str:
        token = secrets.token_hex(16)
        path = self._contents / token[:2] / token
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._written.append(path)
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            while block := reader.read(BLOCK_OCTETS):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        return f"{token[:2]}/{token}"

    def _put_rows(self, connection: Connection, table: Table, lines: IO[bytes]) -> None:
        binary = [column.name for column in table.c if isinstance(column.type, LargeBinary)]
        while chunk := list(islice(lines, PAGE_ROWS)):
            rows = []
            for line in chunk:
                self._digest.update(line)
                row = json.loads(line)
                rows.append(row | {name: base64.b64decode(row[name]) for name in binary if row[name] is not None})
            connection.execute(insert(table), rows)


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
