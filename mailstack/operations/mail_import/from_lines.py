"""Finds the From_ lines of an mbox: `From SENDER Wed Nov 25 07:01:12 2026`, behind an empty line (RFC 4155).

A Content-Length field is not believed: anybody may have written it, and what it says could swallow the next message.
A line of a body that looks like a From_ line down to its date ends the message there, unless it is quoted, as every
writer of mboxo and mboxrd does. The file is read in blocks and never held. Neighbour: `mbox`.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, NamedTuple

BLOCK_OCTETS = 1024 * 1024
MAX_LINE_OCTETS = 1000
_EMPTY_LINE_BEFORE = (b"\n\n", b"\n\r\n")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_FROM_LINE = re.compile(
    rb"From (?:.* )?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) +(?P<month>%b) +(?P<day>\d\d?) +(?P<hour>\d\d?):(?P<minute>\d\d)"
    rb"(?::(?P<second>\d\d))?(?: +[A-Z]{1,5}| +(?P<zone>[+-]\d{4}))? +(?P<year>\d{4})(?: +(?P<last>[+-]\d{4}))?[ \r]*\n"
    % b"|".join(_MONTHS)
)


class FromLine(NamedTuple):
    """One From_ line; offsets are of the file."""

    start: int
    end: int
    """Where the message begins."""
    received_at: int | None
    """Microseconds since 1970; None = its date is none of the calendar."""


def find_from_lines(file: BinaryIO) -> Iterator[FromLine]:
    """The From_ lines from the start of the file on. Raises OSError."""
    window, base = b"\n\n", -2  # as if an empty line stood before the first
    while data := file.read(BLOCK_OCTETS):
        window += data
        last = window.rfind(b"\n")  # a line that is not whole yet waits for the next block
        at = window.find(b"\nFrom ", 0, max(last, 0))
        while at >= 0:
            end = window.find(b"\n", at + 1) + 1
            found = _FROM_LINE.fullmatch(window, at + 1, end) if end - at <= MAX_LINE_OCTETS else None
            if found and window[max(at - 2, 0) : at + 1].endswith(_EMPTY_LINE_BEFORE):
                yield FromLine(base + at + 1, base + end, _received_at(found))
            at = window.find(b"\nFrom ", end - 1, last)
        # of an endless line, and of what was looked through, only what may stand before a From_ line is kept
        kept = max(last - 2, 0) if len(window) - last <= MAX_LINE_OCTETS else len(window) - 1
        window, base = window[kept:], base + kept


def _received_at(found: re.Match[bytes]) -> int | None:
    part = found.groupdict()
    try:
        moment = datetime(
            int(part["year"]),
            _MONTHS.index(part["month"]) + 1,
            int(part["day"]),
            int(part["hour"]),
            int(part["minute"]),
            int(part["second"] or 0),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    zone = int(part["zone"] or part["last"] or 0)
    ahead = timedelta(hours=abs(zone) // 100, minutes=abs(zone) % 100) * (1 if zone >= 0 else -1)
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC) - ahead).total_seconds())
    return seconds * 1_000_000 if seconds > 0 else None
