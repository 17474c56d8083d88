"""A message on its way in from the mailbox of another host.

Neighbours: `operations/mail_import` finds such messages, `management/mail_import` takes them in.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


class SourceError(Exception):
    """A mailbox that cannot be imported; the message says what, why and the mend."""


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """One message, not read yet."""

    name: str
    """What a report calls it."""
    unique_id: str
    """The UIDL that POP3 clients know it by; empty = none is known."""
    received_at: int | None
    """Microseconds since 1970; None = the source does not say."""
    weight: int
    """Its share of the source's `total`."""
    chunks: Callable[[], Iterator[bytes]]
    """Its octets with CRLF line ends, from the start at each call. The iterator raises OSError."""


class Source(Protocol):
    """A mailbox to import; iterating it raises OSError when it cannot be read any further."""

    @property
    def total(self) -> int:
        """The weight of all messages together."""
        ...

    def __iter__(self) -> Iterator[SourceMessage]:
        """The messages, oldest first, in the same order each time."""
        ...
