"""The result of a DNS look-up as a value, so that "does not exist" and "could not be asked" never look the same.

`net/resolver` makes them; `policy/routing` decides on them.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """Records were found; never empty."""

    records: tuple[T, ...]


@dataclass(frozen=True, slots=True)
class NoSuchDomain:
    """The name does not exist (NXDOMAIN)."""


@dataclass(frozen=True, slots=True)
class NoData:
    """The name exists, but has no records of that type."""


@dataclass(frozen=True, slots=True)
class DnsTrouble:
    """Nobody could tell: time-out, SERVFAIL, refused. Says nothing about the name; ask again later."""

    why: str


Lookup = Answer[T] | NoSuchDomain | NoData | DnsTrouble


@dataclass(frozen=True, slots=True)
class MxRecord:
    """One MX: a lower preference comes first. The host is in lower case without trailing dot; "" is the null MX."""

    preference: int
    host: str


class SenderDomain(Enum):
    """Whether mail could be returned to a sender's domain (RFC 5321 section 5.1, RFC 7505)."""

    OK = "ok"
    NXDOMAIN = "nxdomain"
    """Does not exist, or has neither MX nor an address."""
    NULL_MX = "null_mx"
    """Says that it takes no mail."""
    UNKNOWN = "unknown"
    """DNS trouble; not to be held against the sender."""
