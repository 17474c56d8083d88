"""Unique-ids of imported mail, the same at each run over the same mailbox.

What POP3 clients know a message by stays (RFC 1939 section 7), so that nobody fetches old mail again. Where there is
none, or two messages of the mailbox claim the same, it is a hash of the content and its received time, and for equal
ones a number. Neighbour: `mail_import`.
"""

import re
from collections.abc import Callable
from hashlib import sha256

from mailstack.mail.source_message import SourceMessage
from mailstack.store.occurrences import Occurrences

_UNIQUE_ID = re.compile(r"[!-~]{1,70}")


class Names:
    """Gives names for one run."""

    def __init__(self, occurrences: Occurrences) -> None:
        self._occurrences = occurrences

    def name(self, message: SourceMessage) -> str:
        """The unique-id of the next message. Raises OSError when that needs reading it, and it cannot be read."""
        theirs = message.unique_id
        if _UNIQUE_ID.fullmatch(theirs) and self._occurrences.count(theirs) == 1:
            return theirs
        hashed = _hash(message)
        number = self._occurrences.count(hashed)
        name = _numbered(hashed, number)
        while number > 1 and self._occurrences.count(name) > 1:  # somebody chose just that as a UIDL
            number += 1
            name = _numbered(hashed, number)
        return name

    def came_without_uidl(self, message: SourceMessage, is_present: Callable[[str], bool]) -> bool:
        """Whether an earlier run took in a message without its UIDL: Dovecot gives it one at the next log-in only.

        Args:
            message: one with a UIDL that the maildrop has not.
            is_present: whether the maildrop has a unique-id.

        Raises:
            OSError: it cannot be read.
        """
        hashed = _hash(message)
        if not is_present(_numbered(hashed, self._occurrences.times(hashed) + 1)):
            return False
        self._occurrences.count(hashed)  # an equal message is another one
        return True


def _numbered(hashed: str, number: int) -> str:
    return hashed if number == 1 else f"{hashed}-{number}"


def _hash(message: SourceMessage) -> str:
    digest = sha256(b"%d\n" % (message.received_at or 0))
    for chunk in message.chunks():
        digest.update(chunk)
    return digest.hexdigest()[:40]
