"""Where content meets its header section: holds it back until it is whole, mends it once, lets the rest stream by.

One gate serves one message. `reception/inbound` and `reception/submission` give the mending function; what passes
goes to the content writer of `store/content`. Memory is bounded by `MAX_HEADER_OCTETS`.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from mailstack.mail.header import HeaderError, starts_with_field
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status

MAX_HEADER_OCTETS = 512 * 1024
"""Wider than any real header section; beyond it a message is an attack or an accident."""

Mend = Callable[[bytes], bytes]
"""Takes all fields, without the empty line; gives what goes in their place. Raises ContentRefused or HeaderError."""


class ContentRefused(Exception):
    """The content will not be taken; `reply` says why."""

    def __init__(self, why: Reply) -> None:
        super().__init__(str(why))
        self.reply = why


class Writer(Protocol):
    """The part of `store/content.ContentWriter` that the gate writes to."""

    def write(self, data: bytes) -> Awaitable[None] | None:
        """Take octets; an awaitable asks to wait."""


class HeaderGate:
    """Feeds a writer with mended content. `refusal` says why the content will not be taken, once that is known."""

    def __init__(self, writer: Writer, mend: Mend) -> None:
        self._writer = writer
        self._mend = mend
        self._waiting: bytes | None = b""
        self.refusal: Reply | None = None

    def write(self, data: bytes) -> Awaitable[None] | None:
        """Take octets of the content in their order."""
        if self.refusal:
            return None
        if self._waiting is None:
            return self._writer.write(data)
        joined = self._waiting + data if self._waiting else data
        if joined.startswith(b"\r\n"):
            return self._open(b"", joined)
        end = joined.find(b"\r\n\r\n", max(0, len(self._waiting) - 3))
        if end >= 0:
            return self._open(joined[: end + 2], joined[end + 2 :])
        if len(joined) > MAX_HEADER_OCTETS:
            joined = b""
            self.refusal = reply(
                554, Status.CONTENT_OTHER, f"the header section is larger than {MAX_HEADER_OCTETS} octets"
            )
        self._waiting = joined
        return None

    def finish(self) -> Awaitable[None] | None:
        """The content is whole: what still waits had no empty line behind it."""
        if self._waiting is None or self.refusal:
            return None
        return self._open(self._waiting, b"")

    def _open(self, section: bytes, rest: bytes) -> Awaitable[None] | None:
        self._waiting = None
        if section and not starts_with_field(section):
            section, rest = b"", b"\r\n" + section + rest  # no header at all: every line is body
        try:
            return self._writer.write(self._mend(section) + rest)
        except ContentRefused as refused:
            self.refusal = refused.reply
        except HeaderError as error:
            self.refusal = reply(554, Status.CONTENT_OTHER, str(error))
        return None
