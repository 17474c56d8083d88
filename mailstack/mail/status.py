"""Enhanced status codes (RFC 3463, registry by RFC 5248): what happened, apart from whether it may be retried.

A `Status` is subject and detail; the class (2, 4 or 5) comes from the reply code that it stands in. Codes are named
here and nowhere typed by hand.
"""

import re
from dataclasses import dataclass
from enum import Enum

_PATTERN = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?!\S)")


class Status(Enum):
    """Subject and detail of the codes that we give ourselves, with what each means."""

    UNDEFINED = (0, 0)
    ADDRESS_OTHER = (1, 0)
    UNKNOWN_MAILBOX = (1, 1)
    UNKNOWN_SYSTEM = (1, 2)
    BAD_ADDRESS = (1, 3)
    ADDRESS_VALID = (1, 5)
    BAD_SENDER_ADDRESS = (1, 7)
    UNKNOWN_SENDER_SYSTEM = (1, 8)
    NULL_MX = (1, 10)
    MAILBOX_DISABLED = (2, 1)
    MAILBOX_FULL = (2, 2)
    SYSTEM_OTHER = (3, 0)
    SYSTEM_FULL = (3, 1)
    NOT_ACCEPTING = (3, 2)
    TOO_BIG = (3, 4)
    NO_ANSWER = (4, 1)
    BAD_CONNECTION = (4, 2)
    DNS_FAILURE = (4, 3)
    UNABLE_TO_ROUTE = (4, 4)
    CONGESTION = (4, 5)
    LOOP = (4, 6)
    EXPIRED = (4, 7)
    PROTOCOL_OTHER = (5, 0)
    BAD_SEQUENCE = (5, 1)
    BAD_SYNTAX = (5, 2)
    TOO_MANY_RECIPIENTS = (5, 3)
    BAD_PARAMETER = (5, 4)
    AUTH_LINE_TOO_LONG = (5, 6)
    CONTENT_OTHER = (6, 0)
    MEDIA_UNSUPPORTED = (6, 1)
    CONVERSION_FAILED = (6, 3)
    UTF8_UNSUPPORTED = (6, 7)
    SECURITY_OTHER = (7, 0)
    NOT_AUTHORISED = (7, 1)
    AUTH_FAILED = (7, 8)
    AUTH_TOO_WEAK = (7, 9)
    ENCRYPTION_REQUIRED = (7, 10)
    ENCRYPTION_NEEDED = (7, 11)
    ACCOUNT_DISABLED = (7, 13)
    SENDER_NULL_MX = (7, 27)


@dataclass(frozen=True, slots=True)
class EnhancedStatus:
    """A whole code, ours or a peer's: `5.1.1`."""

    klass: int
    subject: int
    detail: int

    def __str__(self) -> str:
        return f"{self.klass}.{self.subject}.{self.detail}"

    @classmethod
    def of(cls, klass: int, status: Status) -> "EnhancedStatus":
        """The named status in a class: 2 done, 4 for now not, 5 never."""
        return cls(klass, *status.value)


def take_status(text: str) -> tuple[EnhancedStatus | None, str]:
    """Split the code off the front of a reply's text; (None, text) when it has none (RFC 2034 section 4)."""
    found = _PATTERN.match(text)
    if not found:
        return None, text
    return EnhancedStatus(*map(int, found.groups())), text[found.end() :].lstrip()
