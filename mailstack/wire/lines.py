"""CRLF lines out of a stream of octets, with a bound (RFC 5321 section 2.3.8, RFC 1939 section 3).

Only CRLF ends a line; a bare CR or LF stays in it, for the reader of the command to refuse. An endless line costs no
memory: past the bound its octets are dropped until its CRLF. Neighbours: `smtp/session`, `smtp/client` and
`pop3/session` read commands and replies with it; `dots` takes the raw octets behind DATA.
"""

CRLF = b"\r\n"


class LineTooLong(Exception):
    """A line ended that was longer than the bound; its octets are gone, the next line can be taken."""


class LineBuffer:
    """Octets that have arrived and not been read yet."""

    __slots__ = ("_data", "_discarding", "_start", "max_octets")

    def __init__(self, max_octets: int) -> None:
        """`max_octets` bounds a line with its CRLF."""
        self.max_octets = max_octets
        self._data = b""
        self._start = 0
        self._discarding = False

    def __len__(self) -> int:
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        """Add what has arrived."""
        rest = self._data[self._start :]
        self._data = rest + data if rest else data
        self._start = 0

    def take_line(self) -> bytes | None:
        """The next line without its CRLF; None when no whole line is there.

        Raises:
            LineTooLong: the line that has just ended was longer than `max_octets`.
        """
        start = self._start
        end = self._data.find(CRLF, start)
        if end < 0:
            self._bound()
            return None
        self._start = end + 2
        if self._discarding or end + 2 - start > self.max_octets:
            self._discarding = False
            raise LineTooLong
        return self._data[start:end]

    def take(self, octets: int) -> bytes:
        """Raw octets, as many as are there and no more than asked for."""
        start = self._start
        taken = self._data[start : start + octets]
        self._start = start + len(taken)
        return taken

    def take_all(self) -> bytes:
        """All raw octets that are there."""
        taken = self._data[self._start :] if self._start else self._data
        self._data = b""
        self._start = 0
        return taken

    def clear(self) -> None:
        """Forget everything: what came before TLS is never read within it (RFC 3207 section 4.2)."""
        self._data = b""
        self._start = 0
        self._discarding = False

    def _bound(self) -> None:
        # So many octets and no CRLF among them: too long whatever comes; but the last CR may be half of its end.
        if self._discarding or len(self) >= self.max_octets:
            self._discarding = True
            self._data = b"\r" if self._data.endswith(b"\r") else b""
            self._start = 0
