"""What content needs of the way it goes: 8-bit octets, 8-bit header fields, long lines (RFC 5321 section 4.5.3.1.6).

Takes blocks of any cut. Neighbours: `delivery/preparation` scans before it sends; `downgrade` takes out what is found.
"""

MAX_LINE_OCTETS = 998
"""Without the CRLF; what every host must take."""


class ContentScan:
    """Feed it all of a content, then read the findings."""

    __slots__ = ("_in_header", "_line_octets", "_tail", "eight_bit", "header_eight_bit", "longest_line")

    def __init__(self) -> None:
        self.eight_bit = False
        self.header_eight_bit = False
        self.longest_line = 0
        """Octets of the longest line without its CRLF."""
        self._in_header = True
        self._tail = b"\r\n"  # a content that begins with an empty line has no header
        self._line_octets = 0

    def feed(self, block: bytes) -> None:
        """Take the next octets."""
        if not block.isascii():
            self.eight_bit = True
        if self._in_header:
            self._look_at_header(block)
        lines = block.split(b"\n")
        self._line_octets += len(lines[0])
        if len(lines) > 1:
            inner = max(map(len, lines[1:-1]), default=0)
            self.longest_line = max(self.longest_line, self._line_octets - 1, inner - 1)
            self._line_octets = len(lines[-1])
        self.longest_line = max(
            self.longest_line, self._line_octets - 1 if block.endswith(b"\r") else self._line_octets
        )

    def _look_at_header(self, block: bytes) -> None:
        joined = self._tail + block
        end = joined.find(b"\r\n\r\n")
        header = joined if end < 0 else joined[:end]
        if not header.isascii():
            self.header_eight_bit = True
        self._in_header = end < 0
        self._tail = joined[-3:]
