"""An mbox file as a source, read in blocks however large it is (mboxrd, mboxo; RFC 4155).

`>From ` at the start of a line loses one `>`, and the empty line before the next From_ line is no part of a message.
An `X-UIDL` field, as qpopper writes it, is the unique-id. The file should be at rest; what is added while it is read is
left for the next run. Neighbours: `from_lines` finds where messages begin.
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mailstack.mail.header import Field, read_fields
from mailstack.mail.line_ends import as_crlf
from mailstack.mail.source_message import SourceError, SourceMessage
from mailstack.operations.mail_import.from_lines import FromLine, find_from_lines

BLOCK_OCTETS = 256 * 1024
HEADER_OCTETS = 64 * 1024
"""How far into a message an X-UIDL is looked for."""
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_FOLDER_DATA = "DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA"
"""The subject of a message that UW-IMAP and Dovecot keep for themselves."""


class Mbox:
    """The messages of an mbox.

    Raises:
        SourceError: the file is no mbox.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise SourceError(f"{path}: is no file; name the mbox itself, or `import maildir` for a folder")
        self.total = path.stat().st_size
        """Octets of the file."""
        with open(path, "rb") as file:
            first = next(find_from_lines(file), None) if self.total else None
        if self.total and (first is None or first.start):
            raise SourceError(f'{path}: is no mbox, as its first line is not like "From ann Wed Nov 25 07:01:12 2026"')

    def __iter__(self) -> Iterator[SourceMessage]:
        """The messages, in order."""
        with open(self._path, "rb") as file:
            line: FromLine | None = None
            for following in find_from_lines(file):
                if line is not None:
                    yield from self._message(line, following.start)
                line = following
            if line is not None:
                yield from self._message(line, max(self.total, line.end))

    def _message(self, line: FromLine, end: int) -> Iterator[SourceMessage]:
        with open(self._path, "rb") as file:
            fields = _header_fields(file, line.end, end)
        values = {field.name: field.text for field in reversed(fields)}
        if values.get(b"subject") != _FOLDER_DATA:
            yield SourceMessage(
                name=f"the message at octet {line.start}",
                unique_id=values.get(b"x-uidl", ""),
                received_at=line.received_at,
                weight=end - line.start,
                chunks=partial(self._read, line.end, end),
            )

    def _read(self, start: int, end: int) -> Iterator[bytes]:
        with open(self._path, "rb") as file:
            yield from as_crlf(unquote(_blocks(file, start, _without_separator(file, start, end))))


def _header_fields(file: BinaryIO, start: int, end: int) -> list[Field]:
    file.seek(start)
    head = file.read(min(end - start, HEADER_OCTETS)).replace(b"\r\n", b"\n")
    return list(read_fields(head.partition(b"\n\n")[0] + b"\n"))


def _without_separator(file: BinaryIO, start: int, end: int) -> int:
    """Where a message ends when the empty line that its writer put behind it is taken off."""
    file.seek(max(start, end - 3))
    last = file.read(end - max(start, end - 3))
    if last.endswith(b"\n\r\n"):
        return end - 2
    return end - 1 if last.endswith(b"\n\n") else end


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    file.seek(start)
    while start < end:
        block = file.read(min(BLOCK_OCTETS, end - start))
        if not block:
            raise OSError("the mbox has become shorter")
        start += len(block)
        yield block


def unquote(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Take one `>` off each line that begins like `>From `, however the octets were cut."""
    held = b""  # the start of a line that may turn out to be quoted
    is_midway = False
    for block in blocks:
        data = held + block
        last = data.rfind(b"\n") + 1
        is_open = (last > 0 or not is_midway) and len(data) - last < BLOCK_OCTETS
        held = data[last:] if is_open else b""
        yield _unquote_lines(data[: len(data) - len(held)], is_midway)
        is_midway = not is_open
    yield _unquote_lines(held, is_midway)


def _unquote_lines(data: bytes, is_midway: bool) -> bytes:
    if b">From " not in data:
        return data
    if is_midway:  # it begins within a line, which is none of our business up to its end
        line, end, rest = data.partition(b"\n")
        return line + end + _QUOTED.sub(rb"\1", rest)
    return _QUOTED.sub(rb"\1", data)
