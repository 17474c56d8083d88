"""Where content is kept: small content in a column, large content in files below the content folder.

A `ContentWriter` takes content as it comes in; past the inline bound it spills to a file, written in threads and
fsynced, folder included, before `finish` returns, so that the row which names it is never committed first. Files no
row names are swept. Neighbours: `acceptance` commits what was staged; `retrieval` and `queue/attempt` read it back.
"""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from sqlalchemy import Connection, bindparam, delete, exists, select
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from mailstack.store.content_files import new_file_name, open_private, sync_folders
from mailstack.store.database import Database
from mailstack.store.schema import content, delivery, maildrop_entry, message

BLOCK_OCTETS = 64 * 1024
"""A reading step."""
SPILL_OCTETS = 256 * 1024
"""What a writer gathers between two trips to the disk."""
ORPHAN_SECONDS = 3600.0
"""A file may be this much older than its row: no transaction takes that long."""
SPACE_FRESH_SECONDS = 5.0
QUERY_NAMES = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StagedContent:
    """Content ready for its row: in `body`, or durably in `file`."""

    size_octets: int
    body: bytes | None
    file: str | None


class ContentWriter:
    """Takes one content. A caller waits for what `write` returns before it writes on; then memory is bounded."""

    def __init__(self, folder: Path, inline_octets: int) -> None:
        self._folder = folder
        self._inline_octets = inline_octets
        self._parts: list[bytes] = []
        self._gathered = 0
        self._size = 0
        self._name = ""
        self._file: BinaryIO | None = None
        self._is_writing = False
        self._is_abandoned = False
        self._is_staged = False

    def write(self, data: bytes) -> Awaitable[None] | None:
        """Take octets; an awaitable = wait, they are on their way to the disk. It may raise OSError."""
        if self._is_abandoned:
            return None
        self._parts.append(data)
        self._gathered += len(data)
        self._size += len(data)
        bound = SPILL_OCTETS if self._name else self._inline_octets
        return self._flush() if self._gathered > bound else None

    async def finish(self) -> StagedContent:
        """The content is whole: durable when it is in a file.

        Raises:
            OSError: the disk does not take it (`abandon` then removes what there is), or it was abandoned meanwhile.
        """
        if self._name:
            await self._flush()
        if self._name and not self._is_abandoned:
            await self._at_work(self._make_durable)
        if self._is_abandoned:
            raise OSError("the content was abandoned before its end")
        self._is_staged = True
        body = None if self._name else b"".join(self._parts)
        return StagedContent(self._size, body, self._name or None)

    def abandon(self) -> None:
        """Remove what there is. Does nothing once `finish` has given the content: a row may name it then."""
        if self._is_staged:
            return
        self._parts.clear()
        self._is_abandoned = True
        if self._name and not self._is_writing:
            deferToThread(self._remove)

    async def _flush(self) -> None:
        parts, self._parts, self._gathered = self._parts, [], 0
        if not self._name:
            self._name = new_file_name()
        await self._at_work(self._append, b"".join(parts))

    async def _at_work(self, function: Callable[..., None], *arguments: object) -> None:
        """Run it in a thread; what was abandoned meanwhile is removed when the thread is done with it."""
        self._is_writing = True
        try:
            await _in_thread(function, *arguments)
        finally:
            self._is_writing = False
            if self._is_abandoned:
                deferToThread(self._remove)

    def _append(self, data: bytes) -> None:
        if self._file is None:
            path = self._folder / self._name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open(path, "xb", buffering=0, opener=open_private)  # noqa: SIM115 -- closed when durable
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def _make_durable(self) -> None:
        assert self._file is not None  # noqa: S101 -- `_flush` came before
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        sync_folders(self._folder, self._name)

    def _remove(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        with suppress(OSError):  # what stays is swept as an orphan
            (self._folder / self._name).unlink()


class StoredContent:
    """A content to read; `delivery/remote.OutgoingContent`."""

    def __init__(self, path: Path | None, size_octets: int, body: bytes | None) -> None:
        self._path = path
        self._body = body
        self.size_octets = size_octets

    async def chunks(self) -> AsyncIterator[bytes]:
        """All octets, in blocks of at most `BLOCK_OCTETS`.

        Raises:
            OSError: the file cannot be read.
        """
        if self._body is not None:
            for start in range(0, len(self._body), BLOCK_OCTETS):
                yield self._body[start : start + BLOCK_OCTETS]
            return
        offset = 0
        while offset < self.size_octets:
            block = await _in_thread(self._read, offset, BLOCK_OCTETS)
            if not block:
                raise OSError(f"the content file {self._path} is shorter than it was")
            offset += len(block)
            yield block

    async def start(self, octets: int) -> bytes:
        """The first octets; at most that many. Raises OSError."""
        if self._body is not None:
            return self._body[:octets]
        return await _in_thread(self._read, 0, octets)

    def _read(self, offset: int, octets: int) -> bytes:
        assert self._path is not None  # noqa: S101 -- one of path and body is set
        with open(self._path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), octets, offset)


class ContentStore:
    """The content folder of one host.

    Args:
        folder: made when it is missing.
        inline_octets: content up to this size rides in the database.
    """

    def __init__(self, folder: Path, inline_octets: int) -> None:
        self._folder = folder
        self._inline_octets = inline_octets
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def new_writer(self) -> ContentWriter:
        """A writer for one content."""
        return ContentWriter(self._folder, self._inline_octets)

    def stored(self, size_octets: int, body: bytes | None, file: str | None) -> StoredContent:
        """The content of a row."""
        return StoredContent(self._folder / file if file else None, size_octets, body)

    def discard(self, staged: StagedContent) -> None:
        """Remove staged content that no transaction was begun for."""
        if staged.file:
            deferToThread(self._remove, [staged.file])

    async def remove_files(self, files: Iterable[str | None]) -> None:
        """Remove the files of rows whose removal is committed."""
        names = [file for file in files if file]
        if names:
            await _in_thread(self._remove, names)

    def remove_files_now(self, files: Iterable[str | None]) -> None:
        """The same at once, for commands."""
        self._remove([file for file in files if file])

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    async def sweep_orphans(self, database: Database) -> int:
        """Remove rows that nobody needs and old files that no row names; gives the files' number.

        For the start and once a day: a crash leaves such files, and such rows come from two transactions on PostgreSQL
        that each removed the last but one need of a content.
        """
        while unneeded := await database.read(_find_unneeded):
            released = await database.write(lambda connection, ids=unneeded: release_contents(connection, ids))  # type: ignore[misc]
            await self.remove_files(released)
        names = await _in_thread(self._old_files, time.time() - ORPHAN_SECONDS)
        orphans: list[str] = []
        for start in range(0, len(names), QUERY_NAMES):
            batch = names[start : start + QUERY_NAMES]
            known = await database.read(
                lambda connection, batch=batch: set(  # type: ignore[misc]
                    connection.scalars(select(content.c.file).where(content.c.file.in_(batch)))
                )
            )
            orphans += [name for name in batch if name not in known]
        await self.remove_files(orphans)
        return len(orphans)

    def _old_files(self, before: float) -> list[str]:
        old = []
        for path in self._folder.glob("??/*"):
            try:
                if path.stat().st_mtime < before:
                    old.append(f"{path.parent.name}/{path.name}")
            except FileNotFoundError:  # removed meanwhile, as it should be
                continue
        return old


_IN_USE = (
    exists().where(maildrop_entry.c.content_id == content.c.id)
    | exists()
    .where(message.c.content_id == content.c.id)
    .where(delivery.c.message_id == message.c.id, delivery.c.state.in_(("waiting", "held")))
)  # fmt: skip
_RELEASE = (
    delete(content)
    .where(content.c.id.in_(bindparam("ids", expanding=True)), ~_IN_USE)
    .returning(content.c.file)
)  # fmt: skip


def _find_unneeded(connection: Connection) -> list[int]:
    return list(connection.scalars(select(content.c.id).where(~_IN_USE).limit(QUERY_NAMES)))


def release_contents(connection: Connection, content_ids: Iterable[int]) -> list[str]:
    """Delete the contents of these numbers that no maildrop and no open delivery needs any more.

    Returns:
        The files to remove once the transaction is committed.
    """
    ids = sorted(set(content_ids))
    files: list[str] = []
    for start in range(0, len(ids), QUERY_NAMES):
        removed = connection.scalars(_RELEASE, {"ids": ids[start : start + QUERY_NAMES]})
        files += [name for name in removed if name]
    return files


_space: dict[Path, tuple[float, tuple[int, int]]] = {}


def free_space(folder: Path) -> tuple[int, int]:
    """Free octets (for us) and all octets of the disk that holds a folder; asked anew every few seconds."""
    now = time.monotonic()
    known = _space.get(folder)
    if known is None or now - known[0] > SPACE_FRESH_SECONDS:
        stat = os.statvfs(folder)
        known = _space[folder] = (now, (stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
    return known[1]


async def _in_thread(function: Callable[..., T], *arguments: object) -> T:
    deferred: Deferred[T] = deferToThread(function, *arguments)
    return await deferred
