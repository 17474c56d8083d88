"""What a content file needs to be private and to outlive a power cut, for those who write one.

Neighbours: `content` writes what comes in, `restoring` what comes back from a backup, `snapshot` a backup itself.
"""

import os
import secrets
from pathlib import Path


def new_file_name() -> str:
    """A name below the content folder that nobody has."""
    name = secrets.token_hex(16)
    return f"{name[:2]}/{name}"


def open_private(path: str, flags: int) -> int:
    """An opener for `open`: nobody else may read the file."""
    return os.open(path, flags, 0o600)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each for the owner of the one above when root makes it."""
    if not folder.exists():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        give_as_folder(folder)


def give_as_folder(path: Path) -> None:
    """What root makes beside a server belongs to the owner of its folder, who is the server."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def sync_folders(contents: Path, name: str) -> None:
    """Make the names of a content file durable, which was fsynced itself.

    Both folders: another writer may have made the inner one and not synced it yet. It costs little when clean.
    """
    sync_folder((contents / name).parent)
    sync_folder(contents)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
