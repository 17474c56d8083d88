"""A Maildir as a source: the messages of `cur` and `new`, in the order a Dovecot numbered them, then by age.

Its subfolders (`.Sent` and so on, Maildir++) are Maildirs of their own and left out: POP3 knows one maildrop. It may be
in use: what is moved meanwhile cannot be read and is taken by the next run. Neighbours: `dovecot_uids`, `mbox`.
"""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mailstack.mail.line_ends import as_crlf
from mailstack.mail.source_message import SourceError, SourceMessage
from mailstack.operations.mail_import.dovecot_uids import DEFAULT_FORMAT, read_uidlist

BLOCK_OCTETS = 256 * 1024
_NO_UID = 1 << 40
"""Behind all that have one."""
_FIRST_TIME = 100_000_000
"""A file name that begins with less than this (1973) does not begin with a time."""


class _Place(NamedTuple):
    """Sorts as the messages are to be numbered."""

    uid: int
    received_at: int
    base: str
    path: str
    unique_id: str


class Maildir:
    """The INBOX of a Maildir.

    Raises:
        SourceError: the folder is no Maildir, or its `dovecot-uidlist` is broken.
        OSError: it cannot be read.
    """

    def __init__(self, folder: Path, uidl_format: str = DEFAULT_FORMAT) -> None:
        parts = [folder / name for name in ("new", "cur") if (folder / name).is_dir()]
        if not parts:
            raise SourceError(f"{folder}: is no Maildir, as it has neither `cur` nor `new`; name the folder of both")
        known = read_uidlist(folder, uidl_format)
        # `new` first: what a client moves to `cur` meanwhile is then seen in one of them, or in both and taken once
        paths = {_base(entry.name): entry.path for part in parts for entry in os.scandir(part) if entry.name[0] != "."}
        places = []
        for base, path in paths.items():
            dovecot = known.get(base)
            uid, unique_id = (dovecot.uid, dovecot.unique_id) if dovecot else (_NO_UID, "")
            places.append(_Place(uid, _received_at(base, path), base, path, unique_id))
        self._places = sorted(places)
        self.subfolders = sorted(path.parent.name for path in folder.glob(".*/cur"))
        """Names of the Maildirs within, which are left out."""

    @property
    def total(self) -> int:
        """How many messages there are."""
        return len(self._places)

    def __iter__(self) -> Iterator[SourceMessage]:
        """The messages, in order."""
        for place in self._places:
            yield SourceMessage(
                name=os.fsencode(place.path).decode(errors="replace"),
                unique_id=place.unique_id,
                received_at=place.received_at * 1_000_000 or None,
                weight=1,
                chunks=partial(_read, place.path),
            )


def _base(name: str) -> str:
    """A file name without its flags, as a Maildir changes nothing else of it."""
    return name.partition(":")[0]


def _received_at(base: str, path: str) -> int:
    """Seconds since 1970: what the name begins with, which every copy of the file keeps, or the file's own time."""
    seconds = base.partition(".")[0]
    if seconds.isascii() and seconds.isdigit() and _FIRST_TIME <= int(seconds) < 1 << 32:
        return int(seconds)
    try:
        return int(os.lstat(path).st_mtime)
    except OSError:  # reading it will say so
        return 0


def _read(path: str) -> Iterator[bytes]:
    # neither waits at a FIFO nor leaves the Maildir by a link
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no regular file")
        yield from as_crlf(iter(partial(file.read, BLOCK_OCTETS), b""))
