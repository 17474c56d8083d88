"""Dot-stuffing both ways, and what lines of content may hold (RFC 5321 sections 2.3.8, 4.1.1.4, 4.5.2; RFC 1939).

Content is handled in whole blocks, never line by line, and comes out the same however it was cut. The end of DATA is
CRLF.CRLF and nothing else: whatever mixes bare CR or LF into it is a defect, which the reader notes while it reads on,
so that nothing smuggled behind it is taken for a command. Neighbours: `smtp/session`, `smtp/client`, `pop3/session`.
"""

from enum import Enum

END_OF_DATA = b".\r\n"
_TERMINATOR = b"\r\n.\r\n"


class Defect(Enum):
    """Why content is refused, the gravest first."""

    BARE_LINE_END = "a CR or LF that is not part of a CRLF"
    NUL = "a NUL octet"
    LONG_LINE = "a line longer than this host takes"


class LineCheck:
    """Looks for defects in blocks of content. A block never ends in a CR whose LF is still to come."""

    __slots__ = ("_found", "_line_octets", "_max_octets")

    def __init__(self, max_line: int) -> None:
        """`max_line` bounds the octets of a line without its CRLF."""
        self._found: set[Defect] = set()
        self._max_octets = max_line + 2
        self._line_octets = 0

    @property
    def defect(self) -> Defect | None:
        """The gravest defect so far: the same however the content was cut into blocks."""
        return next((defect for defect in Defect if defect in self._found), None) if self._found else None

    def look(self, block: bytes) -> None:
        """Note the defects of the block."""
        ends = block.count(b"\r\n")
        if block.count(b"\n") != ends or block.count(b"\r") != ends:
            self._found.add(Defect.BARE_LINE_END)
        if b"\0" in block:
            self._found.add(Defect.NUL)
        if self._line_octets + len(block) <= self._max_octets:
            last = block.rfind(b"\n")
            self._line_octets = self._line_octets + len(block) if last < 0 else len(block) - last - 1
        else:
            self._measure(block)

    def end_in_cr(self) -> None:
        """The content ended in a CR."""
        self._found.add(Defect.BARE_LINE_END)

    def _measure(self, block: bytes) -> None:
        """Jump from the last line end within reach to the next: a few steps however many lines there are."""
        start = -self._line_octets
        while len(block) - start > self._max_octets:
            end = block.rfind(b"\n", max(start, 0), max(start + self._max_octets, 0))
            if end < 0:
                self._found.add(Defect.LONG_LINE)
                break
            start = end + 1
        last = block.rfind(b"\n")
        # past the bound the true length no longer matters, only that the line is still too long
        self._line_octets = min(len(block) - start, self._max_octets + 1) if last < 0 else len(block) - last - 1


class ContentReader:
    """Reads the content behind DATA: takes the dots out, finds the end, notes defects."""

    __slots__ = ("_check", "_started", "_tail", "rest")

    def __init__(self, max_line: int) -> None:
        """`max_line` bounds the octets of a line without its CRLF."""
        self.rest: bytes | None = None
        """What follows the end of the content; None while the end has not come."""
        self._check = LineCheck(max_line)
        self._tail = b"\r\n"  # the line end before the first line, so that it too may begin with a dot
        self._started = False

    @property
    def defect(self) -> Defect | None:
        """The gravest defect so far."""
        return self._check.defect

    def feed(self, data: bytes) -> bytes:
        """The content in the next octets, unstuffed; may be empty. Not to be called once `rest` is set."""
        block = self._tail + data
        end = block.find(_TERMINATOR)
        if end >= 0:
            self.rest = block[end + 5 :]
            block = block[: end + 2]
        else:
            keep = _possible_end(block)
            self._tail = block[len(block) - keep :]
            block = block[: len(block) - keep]
            if not block:
                return b""
        content = block.replace(b"\r\n.", b"\r\n")
        if not self._started:
            self._started = True
            content = content[2:]
        self._check.look(content)
        return content


def _possible_end(block: bytes) -> int:
    """How many octets at the end of the block may be the beginning of the terminator."""
    for length in (4, 3, 2, 1):
        if block.endswith(_TERMINATOR[:length]):
            return length
    return 0


class ChunkReader:
    """Reads the content of BDAT chunks (RFC 3030): no dots, but lines as well, as BINARYMIME is not offered."""

    __slots__ = ("_check", "_last", "_tail")

    def __init__(self, max_line: int) -> None:
        """`max_line` bounds the octets of a line without its CRLF."""
        self._check = LineCheck(max_line)
        self._tail = b""
        self._last = b"\r\n"

    @property
    def defect(self) -> Defect | None:
        """The gravest defect so far."""
        return self._check.defect

    def feed(self, data: bytes) -> bytes:
        """The content in the next octets; a CR at their end waits for its LF."""
        block = self._tail + data
        self._tail = b"\r" if block.endswith(b"\r") else b""
        if self._tail:
            block = block[:-1]
        if block:
            self._last = (self._last + block)[-2:] if len(block) < 2 else block[-2:]
            self._check.look(block)
        return block

    def finish(self) -> bytes:
        """After the last chunk: the CRLF that a last line without one gets, as DATA would have given it."""
        if self._tail:
            self._check.end_in_cr()
        if self._last == b"\r\n":
            return b""
        self._check.look(b"\r\n")  # only its end shows that the last line was too long by an octet or two
        return b"\r\n"


class DotStuffer:
    """Stuffs content that comes in blocks; `finish` gives its end."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = b"\r\n"

    def feed(self, block: bytes) -> bytes:
        """The block with a second dot where a line begins with one."""
        joined = self._last + block
        self._last = joined[-2:]
        return joined.replace(b"\r\n.", b"\r\n..")[2:]

    def finish(self) -> bytes:
        """The dot alone on its line, after a CRLF when the content did not end in one."""
        return END_OF_DATA if self._last == b"\r\n" else _TERMINATOR


def stuff(content: bytes) -> bytes:
    """Whole content as it goes over the wire, its end included."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    end = END_OF_DATA if not content or content.endswith(b"\r\n") else _TERMINATOR
    return stuffed + end
