"""Writes the database and the content of a host, running or not, as one backup file (`archive` says its form).

One reading transaction sees one moment, and no writer waits for it. A content file that was removed meanwhile is left
out together with the rows that need it. What was written is read back before the file gets its name. Neighbours:
`restoring` reads it.
"""

import base64
import fcntl
import gzip
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, RowMapping, Table, select

from mailstack.store.archive import ArchiveWriter, BackupError, verify_archive
from mailstack.store.content_file import open_private, sync_folder
from mailstack.store.database import Database
from mailstack.store.schema import content, delivery, maildrop_entry, message, metadata, panel_session

PAGE_ROWS = 500
TABLES = tuple(table for table in metadata.sorted_tables if table not in (content, panel_session))
"""What is kept as rows, in the order that references allow. Nobody stays signed in through a restore."""


@dataclass(frozen=True, slots=True)
class Written:
    """A backup that was made."""

    size_octets: int
    left_out: int
    """Contents whose file was gone."""
    unread: tuple[str, ...] = ()
    """Files of the host that could not be read, and why."""


def write_backup(
    database: Database,
    contents: Path,
    target: Path,
    *,
    revision: str,
    now: datetime,
    files: Mapping[str, Path] | None = None,
) -> Written:
    """Write a backup to a file that is not there yet; it gets its name once it is on the disk and was read back.

    Args:
        database: at `revision`.
        contents: the content folder.
        target: the file to make.
        revision: the version of the tables.
        now: the present.
        files: what else belongs to the host, small files by the names they get in the backup.

    Raises:
        BackupError: the file is there already, another run writes it, a content file is damaged, or what was written
            cannot be read back.
        OSError: the disk does not take it; nothing is left behind.
        StoreTrouble: the database fails now.
    """
    if target.exists():
        raise _is_there(target)
    head = {"revision": revision, "made_at": now.isoformat(timespec="seconds")}
    with _part_of(target) as (part, file):
        texts, unread = _read_files(files or {})
        left_out = database.read_now(lambda connection: _write(connection, contents, file, head, texts))
        verify_archive(part)
        size = part.stat().st_size
        if target.exists():  # made meanwhile by somebody else: another run of ours would not have the lock
            raise _is_there(target)
        part.rename(target)
    sync_folder(target.parent)
    return Written(size, left_out, unread)


def _is_there(target: Path) -> BackupError:
    return BackupError(f"{target}: is there already and is not overwritten; name another file")


@contextmanager
def _part_of(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """The file that becomes `target`, locked against another run; removed when the inside fails."""
    part = target.with_name(target.name + ".part")
    with open(part, "ab", opener=open_private) as file:
        busy = BackupError(f"{part}: another backup writes it now; wait for it, or name another file")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(file.fileno()), part.stat())
        except (BlockingIOError, FileNotFoundError):
            raise busy from None
        if not is_ours:  # another run ended between the two calls
            raise busy
        try:
            yield part, file
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _read_files(files: Mapping[str, Path]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    texts, unread = {}, []
    for name, path in files.items():
        try:
            texts[name] = path.read_bytes()
        except OSError as error:
            unread.append(f"{path}: {error.strerror}")
    return texts, tuple(unread)


def _write(
    connection: Connection, contents: Path, file: IO[bytes], head: dict[str, Any], texts: Mapping[str, bytes]
) -> int:
    file.truncate(0)  # what a killed run left, or a try before a lost connection
    with (
        gzip.GzipFile("", fileobj=file, mode="wb", compresslevel=3) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        archive = ArchiveWriter(tar, head)
        for name, text in texts.items():
            archive.add(f"file/{name}", len(text), io.BytesIO(text))
        gone = _add_contents(connection, contents, archive)
        for table in TABLES:
            _add_rows(connection, table, gone, archive)
        archive.finish()
    file.flush()
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # it is read back from the disk, not from memory
    return len(gone)


def _add_contents(connection: Connection, contents: Path, archive: ArchiveWriter) -> set[int]:
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
                archive.add(f"content/{number}", size, source)
        last = rows[-1].id
    return gone


def _open(connection: Connection, contents: Path, number: int, name: str | None) -> IO[bytes]:
    if name:
        return open(contents / name, "rb")
    return io.BytesIO(connection.scalar(select(content.c.body).where(content.c.id == number)) or b"")


def _add_rows(connection: Connection, table: Table, gone: set[int], archive: ArchiveWriter) -> None:
    with tempfile.TemporaryFile() as lines:
        for row in _whole_rows(connection, table, gone):
            plain = {key: base64.b64encode(v).decode() if isinstance(v, bytes) else v for key, v in row.items()}
            lines.write(json.dumps(plain).encode() + b"\n")
        size = lines.tell()
        lines.seek(0)
        archive.add(f"rows/{table.name}", size, lines)


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
