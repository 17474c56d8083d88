"""The maildrop of one log-in: a locked, numbered snapshot (RFC 1939 section 5), and the window of messages at hand.

Compact, since many are open at once: two arrays and one run of octets, not an object for each message. Neighbours:
`session` answers from it, `retrieval` builds it and fills the window.
"""

from array import array
from collections.abc import Iterable

from mailstack.pop3.replies import END, LISTING, TOP_FOLLOWS, octets
from mailstack.wire.dots import stuff

WINDOW_MESSAGES = 64
WINDOW_OCTETS = 1024 * 1024
"""A read-ahead this large hides the cost of a query, and 500 sessions of it still fit a small machine."""
_FIRST_REACH = 8
_STRIDE = 8
"""A client that skips a few messages it has is still on its way through."""


class Maildrop:
    """Messages are numbered from 1; a number never moves within the session (RFC 1939 section 5)."""

    def __init__(self, account_id: int, entries: Iterable[tuple[int, int, str]]) -> None:
        """Take `(entry id, size in octets as RETR sends it, unique-id)` in the order of numbering."""
        self.account_id = account_id
        rows = list(entries)
        self._entry_ids: array[int] = array("q", [row[0] for row in rows])
        self._sizes: array[int] = array("q", [row[1] for row in rows])
        self._unique_ids = "\n".join([row[2] for row in rows]).encode()
        self._split_unique_ids: list[bytes] | None = None
        self._deleted: set[int] = set()
        self._fetched: set[int] = set()
        self._whole_octets = sum(self._sizes)
        self._octets = self._whole_octets
        self._last_asked = self._asked_before = 0
        self._reach = _FIRST_REACH
        self.window: dict[int, bytes] = {}
        """By message number: the whole reply to RETR, dots stuffed."""

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def count(self) -> int:
        """Messages not marked as deleted."""
        return len(self._sizes) - len(self._deleted)

    @property
    def size_octets(self) -> int:
        """The octets of all messages not marked as deleted."""
        return self._octets

    def exists(self, number: int) -> bool:
        """Whether the snapshot has such a number, deleted or not."""
        return 0 < number <= len(self._sizes)

    def is_deleted(self, number: int) -> bool:
        """Whether the message is marked as deleted."""
        return number in self._deleted

    def size(self, number: int) -> int:
        """Octets of a message as RETR sends it, before dot-stuffing."""
        return self._sizes[number - 1]

    def entry_id(self, number: int) -> int:
        """The row behind a number."""
        return self._entry_ids[number - 1]

    def unique_id(self, number: int) -> bytes:
        """The name of the message for ever (RFC 1939 section 7, UIDL)."""
        if self._split_unique_ids is None:  # kept from here on: who asks for one often asks for each
            self._split_unique_ids = self._unique_ids.split(b"\n")
        return self._split_unique_ids[number - 1]

    def listing(self) -> bytes:
        """The reply to LIST."""
        deleted = self._deleted
        numbered = enumerate(self._sizes, 1)
        lines = [b"%d %d\r\n" % (number, size) for number, size in numbered if number not in deleted]
        return b"".join((LISTING, *lines, END))

    def unique_id_listing(self) -> bytes:
        """The reply to UIDL."""
        if not self._sizes:
            return LISTING + END
        deleted = self._deleted
        numbered = enumerate(self._unique_ids.split(b"\n"), 1)
        lines = [b"%d %b\r\n" % (number, name) for number, name in numbered if number not in deleted]
        return b"".join((LISTING, *lines, END))

    def delete(self, number: int) -> None:
        """Mark a message as deleted; only the commit at QUIT removes it."""
        self._deleted.add(number)
        self._octets -= self._sizes[number - 1]

    def reset(self) -> None:
        """Unmark all."""
        self._deleted.clear()
        self._octets = self._whole_octets

    @property
    def fetched_count(self) -> int:
        """Messages that RETR sent."""
        return len(self._fetched)

    @property
    def fetched_octets(self) -> int:
        """Their octets."""
        return sum(self._sizes[number - 1] for number in self._fetched)

    def note_fetched(self, number: int) -> None:
        """Remember that RETR sent this message: EXPIRE 0 deletes it at QUIT."""
        self._fetched.add(number)

    def delete_fetched(self) -> None:
        """The implicit DELE of what was fetched, where nothing may be left on the server (RFC 2449 section 6.7)."""
        for number in self._fetched - self._deleted:
            self.delete(number)

    def deleted_entry_ids(self) -> list[int]:
        """The rows to remove at QUIT."""
        return [self._entry_ids[number - 1] for number in sorted(self._deleted)]

    def at_hand(self, number: int, *, keep: bool) -> bytes | None:
        """The whole reply to RETR if it lies in the window; `keep` it there, else its memory is free again."""
        self._last_asked, self._asked_before = number, self._last_asked
        return self.window.get(number) if keep else self.window.pop(number, None)

    def read_ahead(self, number: int, longest_octets: int) -> list[int]:
        """What to read for a message that is not at hand: it first, then those likely to be wanted next.

        A client that goes through the maildrop, up or down, gets windows that grow; one that picks here and there
        gets what it asks for. What the window still holds beside this way is dropped.

        Args:
            number: the message that is wanted now.
            longest_octets: messages above this size do not ride in the window, and are left out.
        """
        step = number - self._asked_before
        if not self._asked_before or not 0 < abs(step) <= _STRIDE:
            self._reach = _FIRST_REACH
            step = 1
        else:
            self._reach = min(2 * self._reach, WINDOW_MESSAGES)
        way = range(number + 1, len(self._sizes) + 1) if step > 0 else range(number - 1, 0, -1)
        way = way[: 4 * self._reach]
        self.window = {other: self.window[other] for other in way if other in self.window}
        room = WINDOW_OCTETS - self.size(number) - sum(map(len, self.window.values()))
        numbers = [number]
        for other in way:
            size = self.size(other)
            if size > longest_octets or other in self._deleted or other in self.window:
                continue
            room -= size
            if room < 0 or len(numbers) >= self._reach:
                break
            numbers.append(other)
        return numbers


def whole_reply(size_octets: int, content: bytes) -> bytes:
    """The reply to RETR; a missing last CRLF is supplied."""
    return octets(size_octets) + stuff(content)


class TopCutter:
    """Cuts the header section, the empty line and some lines of the body out of content that comes in blocks (TOP)."""

    __slots__ = ("_in_body", "_lines", "_tail", "is_done")

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._in_body = False
        self._tail = b"\r\n"  # the line end before the first line: the header section may be empty
        self.is_done = False

    def feed(self, block: bytes) -> bytes:
        """What of the block belongs to the top; `is_done` once nothing behind it does."""
        if self.is_done:
            return b""
        start = 0
        if not self._in_body:
            joined = self._tail + block
            end = joined.find(b"\r\n\r\n")
            if end < 0:
                self._tail = joined[-3:]
                return block
            self._in_body = True
            start = end + 4 - len(self._tail)
        while self._lines:
            newline = block.find(b"\n", start)
            if newline < 0:
                return block
            start = newline + 1
            self._lines -= 1
        self.is_done = True
        return block[:start]


def top_reply(whole: bytes, lines: int) -> bytes:
    """The reply to TOP out of the reply to RETR (stuffed lines are cut where plain ones would be)."""
    begin = whole.index(b"\r\n") + 2
    return b"".join((TOP_FOLLOWS, TopCutter(lines).feed(whole[begin : -len(END)]), END))
