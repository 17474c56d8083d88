"""The envelope: what MAIL FROM and RCPT TO said, with the DSN wishes of RFC 3461.

An envelope grows while a transaction lasts (`smtp/session`), is kept in the spool and goes out again
(`smtp/client`).
"""

from dataclasses import dataclass, field
from enum import Flag, StrEnum, auto

from mailstack.mail.address import NULL_SENDER, Address


class Body(StrEnum):
    """The BODY parameter (RFC 6152, RFC 3030)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"
    BINARY = "BINARYMIME"


class Ret(StrEnum):
    """The RET parameter: how much of the content a bounce returns (RFC 3461 section 4.3)."""

    FULL = "FULL"
    HEADERS = "HDRS"


class Notify(Flag):
    """The NOTIFY parameter (RFC 3461 section 4.1); NEVER is the empty set of wishes."""

    NEVER = 0
    SUCCESS = auto()
    FAILURE = auto()
    DELAY = auto()


DEFAULT_NOTIFY = Notify.FAILURE | Notify.DELAY


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient, once accepted."""

    address: Address
    notify: Notify | None = None
    """None when the client said nothing: then failures are reported, and delays as we see fit."""
    orcpt: str | None = None
    """`addr-type;xtext-decoded address`, as the original submitter named the recipient (RFC 3461 section 4.2)."""


@dataclass(slots=True)
class Envelope:
    """Reverse-path, recipients and the parameters of MAIL."""

    reverse_path: Address
    recipients: list[Recipient] = field(default_factory=list)
    body: Body = Body.SEVEN_BIT
    smtputf8: bool = False
    size_octets: int | None = None
    """What SIZE= declared."""
    ret: Ret | None = None
    envid: str | None = None
    """xtext-decoded ENVID."""

    @property
    def is_report(self) -> bool:
        """True for the null reverse-path: a report, which is never answered with another."""
        return self.reverse_path == NULL_SENDER
