"""The form of a backup file: a gzipped tar, written and read in one go, where each member is known by its SHA-256.

`head.json` comes first and says what it is; then come `file/SETTING`, `content/ID` and `rows/TABLE` (JSON lines), and
last `sums`, a line `SHA-256 SIZE NAME` for each member before it: a file without it was never finished. Memory is
bounded however many members there are. Neighbours: `snapshot` fills it, `restoring` and `picking` take out.
"""

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

FORMAT = 1
HEAD = "head.json"
SUMS = "sums"
BLOCK_OCTETS = 256 * 1024

T = TypeVar("T")


class BackupError(Exception):
    """A backup that cannot be written, read or restored: what, why and the mend."""


class _HashingReader(io.RawIOBase):
    """Passes octets on and adds them to a digest."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next octets."""
        data = self._read(len(buffer))
        self.digest.update(data)
        buffer[: len(data)] = data
        return len(data)


class ArchiveWriter:
    """Adds members to a backup. `finish` must come last."""

    def __init__(self, tar: tarfile.TarFile, head: dict[str, Any]) -> None:
        self._tar = tar
        self._sums = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `finish`, or with the writer
        text = json.dumps({"format": FORMAT, **head}).encode()
        self.add(HEAD, len(text), io.BytesIO(text))

    def add(self, name: str, size: int, source: IO[bytes]) -> None:
        """Add a member of exactly `size` octets. Raises OSError when the source ends before."""
        reader = _HashingReader(source.read)
        self._put(name, size, reader)
        self._sums.write(_sum_line(name, size, reader))

    def finish(self) -> None:
        """Write the sums: now it is whole."""
        size = self._sums.tell()
        self._sums.seek(0)
        self._put(SUMS, size, self._sums)
        self._sums.close()

    def _put(self, name: str, size: int, source: Any) -> None:
        member = tarfile.TarInfo(name)
        member.size = size
        member.mode = 0o600
        self._tar.addfile(member, source)


@dataclass(frozen=True, slots=True)
class Member:
    """What a backup holds under a name; `octets` may be read until the next member is asked for."""

    name: str
    size: int
    octets: io.RawIOBase

    def read(self) -> bytes:
        """All of it."""
        return self.octets.readall() or b""

    def blocks(self) -> Iterator[bytes]:
        """All of it, some octets at a time."""
        while block := self.octets.read(BLOCK_OCTETS):
            yield block

    def lines(self) -> Iterator[bytes]:
        """All of it by lines."""
        return iter(io.BufferedReader(self.octets, BLOCK_OCTETS))


def read_members(source: Path) -> Iterator[Member]:
    """All members but the sums, in order, the head first; who takes the last one knows that all are whole.

    Raises:
        BackupError: it is no backup, of another version, or damaged; names the member.
        OSError: the file cannot be read.
    """
    with gzip.open(source) as packed, tempfile.TemporaryFile() as sums:
        last = HEAD
        tar = _guarded(source, last, lambda: tarfile.open(fileobj=packed, mode="r|"))  # noqa: SIM115 -- `packed` is
        while True:
            found = _guarded(source, last, tar.next)
            octets = tar.extractfile(found) if found else None
            if found is None or octets is None:
                raise _damaged(source, f"after {last}", "it ends there, or goes on with something else")
            name = last = found.name
            reader = _HashingReader(lambda size, n=name, o=octets: _guarded(source, n, lambda: o.read(size)))  # type: ignore[misc]
            if name == SUMS:
                _compare(source, sums, reader)
                while _guarded(source, "its end", lambda: packed.read(BLOCK_OCTETS)):
                    pass
                return
            yield Member(name, found.size, reader)
            while reader.read(BLOCK_OCTETS):
                pass
            sums.write(_sum_line(name, found.size, reader))


def read_head(member: Member, source: Path) -> dict[str, Any]:
    """What the first member says. Raises BackupError: it is of another version, or no head."""
    try:
        head: dict[str, Any] = json.loads(member.read()) if member.name == HEAD else {}
    except ValueError as error:
        raise _damaged(source, f"at {HEAD}", str(error)) from None
    if head.get("format") != FORMAT:
        raise BackupError(f"{source}: is no backup of this version of Mailstack; restore it with the one that made it")
    return head


def verify_archive(source: Path) -> int:
    """Read all of a backup and compare; the number of its members. Raises as `read_members`."""
    return sum(1 for _ in read_members(source))


def _compare(source: Path, counted: IO[bytes], written: io.RawIOBase) -> None:
    """Line by line, so that the first member that differs is named."""
    counted.seek(0)
    for line in io.BufferedReader(written, BLOCK_OCTETS):
        mine = counted.readline()
        if mine != line:
            name = mine.decode().rstrip().rpartition(" ")[2] or SUMS
            raise _damaged(source, f"at {name}", "its octets are not those that were written")
    if counted.readline():
        raise _damaged(source, f"at {SUMS}", "it is too short")


def _sum_line(name: str, size: int, reader: _HashingReader) -> bytes:
    return f"{reader.digest.hexdigest()} {size} {name}\n".encode()


def _guarded(source: Path, name: str, step: Callable[[], T]) -> T:
    try:
        return step()
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(source, f"at {name}", str(error)) from None


def _damaged(source: Path, where: str, why: str) -> BackupError:
    return BackupError(f"{source}: is no whole backup: damaged {where} ({why}); take another one")
