"""One file of content, written once and made durable. All of it blocks: for threads and commands.

Root's commands leave what they make to the owner of the folder, so that the server can read it. Neighbours: `content`
writes what comes in, `restoring` what comes back from a backup, `snapshot` a backup itself.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


class ContentFile:
    """A new file below the content folder, made at the first `append`."""

    def __init__(self, folder: Path) -> None:
        name = secrets.token_hex(16)
        self.name = f"{name[:2]}/{name}"
        """Below the folder: what the row says."""
        self._folder = folder
        self._path = folder / self.name
        self._file: BinaryIO | None = None

    def append(self, data: bytes) -> None:
        """Write octets behind those that are there. Raises OSError."""
        if self._file is None:
            make_private_folder(self._path.parent)
            self._file = open(self._path, "xb", buffering=0, opener=open_private)  # noqa: SIM115 -- closed when durable
            _leave_to_owner(self._path)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def make_durable(self) -> None:
        """Bring file and folders to the disk, and close; something was appended. Raises OSError."""
        assert self._file is not None  # noqa: S101 -- `append` came before
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        # Both folders: another writer may have made the inner one and not synced it yet. It costs little when clean.
        sync_folder(self._path.parent)
        sync_folder(self._folder)

    def remove(self) -> None:
        """Remove what there is."""
        if self._file is not None:
            self._file.close()
            self._file = None
        with suppress(OSError):  # what stays is swept as an orphan
            self._path.unlink()


def make_private_folder(folder: Path) -> None:
    """Make a folder for its owner alone, unless it is there."""
    if not folder.is_dir():
        make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _leave_to_owner(folder)


def _leave_to_owner(path: Path) -> None:
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def open_private(path: str, flags: int) -> int:
    """An opener for `open`: nobody else may read the file."""
    return os.open(path, flags, 0o600)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
