"""Writes the database and the content of a host, running or not, as one backup file.

The file is a gzipped tar: `content/ID` for each content, then `rows/TABLE` as JSON lines, then `manifest.json` with
the SHA-256 over all that came before. One reading transaction sees one moment, and no writer waits for it. A content
file that was removed meanwhile is left out together with the rows that need it. Neighbours: `restoring` reads it back.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, RowMapping, Table, select

from mailstack.store.database import Database
from mailstack.store.schema import content, delivery, maildrop_entry, message, metadata, panel_session

FORMAT = 1
PAGE_ROWS = 500
TABLES = tuple(table for table in metadata.sorted_tables if table not in (content, panel_session))
"""What is kept as rows, in the order that references allow. Nobody stays signed in through a restore."""


class BackupError(Exception):
    """A backup that cannot be written, read or restored: what, why and the mend."""


class HashingReader(io.RawIOBase):
    """Passes octets on and adds them to a digest."""

    def __init__(self, source: IO[bytes], digest: Any) -> None:
        self._source = source
        self._digest = digest

    def read(self, size: int = -1) -> bytes:
        """The next octets, at most `size`."""
        data = self._source.read(size)
        self._digest.update(data)
        return data


def write_backup(database: Database, contents: Path, target: Path, *, revision: str, now: datetime) -> tuple[int, int]:
    """Write a backup to a file that is not there yet; it gets its name once it is whole and on the disk.

    Returns:
        Its size in octets, and the number of contents left out because their file was gone.

    Raises:
        BackupError: the file is there already, or a content file is damaged.
        OSError: the disk does not take it; nothing is left behind.
        StoreTrouble: the database fails now.
    """
    if target.exists():
        raise BackupError(f"{target}: is there already and is not overwritten; name another file")
    part = target.with_name(target.name + ".part")
    head = {"format": FORMAT, "revision": revision, "made_at": now.isoformat(timespec="seconds")}
    try:
        left_out = database.read_now(lambda connection: _write(connection, contents, part, head))
        os.link(part, target)  # unlike a rename it never overwrites
    except FileExistsError:
        raise BackupError(f"{target}: is there already and is not overwritten; name another file") from None
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return target.stat().st_size, left_out


def _write(connection: Connection, contents: Path, part: Path, head: dict[str, Any]) -> int:
    digest = hashlib.sha256()
    part.unlink(missing_ok=True)  # what a killed run left
    with open(part, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        with (
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            gone = _add_contents(connection, contents, tar, digest)
            for table in TABLES:
                _add_rows(connection, table, gone, tar, digest)
            manifest = json.dumps({**head, "sha256": digest.hexdigest()}).encode()
            _add(tar, "manifest.json", len(manifest), io.BytesIO(manifest), digest)
        file.flush()
        os.fsync(file.fileno())
    return len(gone)


def _add_contents(connection: Connection, contents: Path, tar: tarfile.TarFile, digest: Any) -> set[int]:
    """Add every content; the numbers of those whose file was removed since the transaction began."""
    gone: set[int] = set()
    last = -1
    page = select(content.c.id, content.c.size_octets, content.c.file).order_by(content.c.id).limit(PAGE_ROWS)
    while rows := connection.execute(page.where(content.c.id > last)).all():
        for number, size, name in rows:
            try:
                source = _open(connection, contents, number, name)
            except FileNotFoundError:
                gone.add(number)
                continue
            with source:
                if name and os.fstat(source.fileno()).st_size != size:
                    raise BackupError(f"{contents / name}: is not {size} octets long; the disk or a person damaged it")
                _add(tar, f"content/{number}", size, source, digest)
        last = rows[-1].id
    return gone


def _open(connection: Connection, contents: Path, number: int, name: str | None) -> IO[bytes]:
    if name:
        return open(contents / name, "rb")
    return io.BytesIO(connection.scalar(select(content.c.body).where(content.c.id == number)) or b"")


def _add_rows(connection: Connection, table: Table, gone: set[int], tar: tarfile.TarFile, digest: Any) -> None:
    with tempfile.TemporaryFile() as lines:
        for row in _whole_rows(connection, table, gone):
            plain = {key: base64.b64encode(v).decode() if isinstance(v, bytes) else v for key, v in row.items()}
            lines.write(json.dumps(plain).encode() + b"\n")
        size = lines.tell()
        lines.seek(0)
        _add(tar, f"rows/{table.name}", size, lines, digest)


def _whole_rows(connection: Connection, table: Table, gone: set[int]) -> Iterator[RowMapping | dict[str, Any]]:
    """The rows of a table but those that need a content which is gone."""
    of_gone = set()
    if gone and table is delivery:
        rows = connection.execute(select(message.c.id, message.c.content_id))
        of_gone = {row.id for row in rows if row.content_id in gone}
    for row in connection.execute(select(table), execution_options={"yield_per": PAGE_ROWS}).mappings():
        if table is maildrop_entry and row["content_id"] in gone:
            continue
        if table is delivery and row["message_id"] in of_gone and row["state"] in ("waiting", "held"):
            continue
        yield {**row, "content_id": None} if table is message and row["content_id"] in gone else row


def _add(tar: tarfile.TarFile, name: str, size: int, source: IO[bytes], digest: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    digest.update(f"{name} {size}\n".encode())
    tar.addfile(member, HashingReader(source, digest))
