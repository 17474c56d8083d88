"""Reads the replies of the server we speak to: octets in, `Reply` values out (RFC 5321 section 4.2).

A peer may be broken or hostile, so a line and the number of lines have bounds, and control characters never get
further (the text goes into logs, the timeline and bounces). Neighbours: `client` acts on the replies.
"""

import re
from functools import lru_cache

from mailstack.mail.reply import Reply
from mailstack.mail.status import take_status

MAX_LINE_KEPT = 4096
"""Octets of a line that are kept; RFC 5321 section 4.5.3.1.5 allows 512, real hosts send more."""
MAX_LINE = 64 * 1024
"""An endless line is no reply."""
MAX_LINES = 100

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?\Z", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class BrokenPeerError(Exception):
    """The peer sent what is no SMTP reply; the message says what."""


class ReplyReader:
    """Collects octets and hands out whole replies."""

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[bytes] = []

    @property
    def has_leftover(self) -> bool:
        """Octets are here that belong to no reply yet."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> None:
        """Take octets from the network."""
        self._buffer += data

    def take(self) -> Reply | None:
        """The next whole reply, or None while it has not come in yet.

        Raises:
            BrokenPeerError: a line is no reply line, or too long, or there are too many.
        """
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if not newline:
                if len(self._buffer) > MAX_LINE:
                    raise BrokenPeerError("the peer's reply line has no end")
                return None
            self._buffer = rest
            if not self._lines and (single := _read_single(line)):
                return single
            found = _LINE.match(line.removesuffix(b"\r"))
            if not found:
                raise BrokenPeerError(f"the peer sent what is no SMTP reply: {_clean(line[:100])}")
            code, separator, text = found.groups()
            self._lines.append((text or b"")[:MAX_LINE_KEPT])
            if separator == b"-":
                if len(self._lines) >= MAX_LINES:
                    raise BrokenPeerError(f"the peer's reply has more than {MAX_LINES} lines")
                continue
            lines, self._lines = self._lines, []
            return _make_reply(int(code), lines)


@lru_cache(maxsize=512)
def _read_single(line: bytes) -> Reply | None:
    """A reply of one short line, of which most are the same; None for any other line."""
    if len(line) > 128 or line[3:4] != b" ":
        return None
    found = _LINE.match(line.removesuffix(b"\r"))
    return _make_reply(int(found[1]), [found[3]]) if found else None


def _make_reply(code: int, lines: list[bytes]) -> Reply:
    """The code is the last line's (they should be equal); the status is the first line's, when its class fits."""
    texts = [_clean(line) for line in lines]
    status, first = take_status(texts[0])
    if status is None or status.klass != code // 100:
        return Reply(code, None, "\n".join(texts))
    others = [take_status(text)[1] for text in texts[1:]]
    return Reply(code, status, "\n".join([first, *others]))


def _clean(line: bytes) -> str:
    return _CONTROL.sub("?", line.decode("utf-8", "replace").removesuffix("\r"))
