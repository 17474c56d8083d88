"""What is wrong with folders and files: missing, not writable, readable by everybody; and room on their disks.

Judged for the user whom the server will be, who need not be the one who asks. Neighbours: `inspection` asks; `rights`
knows users; `policy/room` says when a disk is too full.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import mailstack
from mailstack.config import Config
from mailstack.operations.findings import Finding
from mailstack.operations.rights import READ, WRITE, RightsError, User, server_user
from mailstack.policy.room import is_disk_low
from mailstack.store.content import free_space
from mailstack.store.database import DatabaseUrlError
from mailstack.store.engine import sqlite_file

PROGRAM = Path(mailstack.__file__).parent
_ANYBODY = 0o007


def inspect_files(config: Config) -> Iterator[Finding]:
    """Look at data, content, database, key and password files, and the disks."""
    try:
        user = server_user(config.user)
    except RightsError as error:
        yield Finding(f"user: {error}")
        return
    if user.uid == 0:
        yield Finding("user: the server would stay root; name a user who owns the data", is_wrong=False)
    if not user.may(READ, PROGRAM):
        yield Finding(f"user: {user.name} cannot read the program in {PROGRAM}; install it in /opt")
    yield from _writable(config, user)
    yield from _secrets(config, user)
    yield from _room(config)


def _writable(config: Config, user: User) -> Iterator[Finding]:
    if not config.data.exists():
        yield Finding(f"data: {config.data} does not exist; make the folder, or `mailstack init` a host in it")
        return
    places = {"data": config.data, "content": _nearest(Path(config.content)), "database": _database_file(config)}
    for setting, place in places.items():
        if place is not None and not user.may(READ | WRITE, place):
            yield Finding(f"{setting}: {place} cannot be written to by {user.name}; `chown -R {user.name}:` mends it")


def _secrets(config: Config, user: User) -> Iterator[Finding]:
    key, database = config.tls.key, _database_file(config)
    for setting, file in (("tls", key), ("database", database), ("outbound", config.outbound.smarthost_password_file)):
        if file is not None and file.exists() and file.stat().st_mode & _ANYBODY:
            yield Finding(f"{setting}: anybody may use {file}; chmod it to 600", is_wrong=False)
    if key.exists() and not user.may(READ, key):
        yield Finding(
            f"tls: {user.name} cannot read {key}: a new certificate needs a restart, not a reload", is_wrong=False
        )


def _room(config: Config) -> Iterator[Finding]:
    places = {"data": _nearest(config.data), "content": _nearest(Path(config.content))}
    told: set[int] = set()
    for setting, place in places.items():
        disk = place.stat().st_dev
        free, whole = free_space(place)
        if disk not in told and is_disk_low(free, whole, config.smtp.max_message_size):
            yield Finding(f"{setting}: the disk has {free >> 20} MiB left, too little to take mail; make room")
        told.add(disk)


def _nearest(folder: Path) -> Path:
    """The folder, or what will hold it once it is made."""
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))


def _database_file(config: Config) -> Path | None:
    try:
        file = sqlite_file(config.database, config.data)
    except DatabaseUrlError:
        return None  # told elsewhere
    return file if file is not None and file.exists() else None
