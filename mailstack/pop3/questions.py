"""What a session asks of the world, and the answers it takes: values only.

One question is open at a time; the session reads on once it is answered. `net/pop3_server` carries them, `retrieval`
answers all but `StartTls`, which is the adapter's own.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from mailstack.pop3.maildrop import Maildrop
from mailstack.pop3.replies import Code
from mailstack.wire.scram import ScramVerifier

# --- questions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartTls:
    """Turn TLS on after the reply is out. Answered by `Session.tls_started`."""


@dataclass(frozen=True, slots=True)
class LogIn:
    """May this name with this password log in, and what is in its maildrop? Answer: `LoggedIn` or `Refused`."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class FindVerifier:
    """The SCRAM verifier of this name. Answer: a `ScramVerifier` or None."""

    username: str


@dataclass(frozen=True, slots=True)
class OpenProven:
    """This name has proven its password by SCRAM; open its maildrop. Answer: `LoggedIn` or `Refused`."""

    username: str


@dataclass(frozen=True, slots=True)
class RefuseUnproven:
    """This name failed its proof by SCRAM; count it. Answer: `Refused`."""

    username: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """This message is wanted and not at hand. Answer: `AtHand`, `Sent` or `Refused`."""

    number: int
    lines: int | None
    """Lines of the body for TOP; None = the whole message (RETR)."""


@dataclass(frozen=True, slots=True)
class Commit:
    """QUIT: remove what is marked as deleted, and let go of the maildrop. Answer: True when it is on disk."""


Question = StartTls | LogIn | FindVerifier | OpenProven | RefuseUnproven | Fetch | Commit

# --- answers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offers:
    """EXPIRE and LOGIN-DELAY as CAPA tells them (RFC 2449 sections 6.5 and 6.7)."""

    expire_days: int | None = None
    """None = NEVER."""
    login_delay_seconds: int = 0
    differ: bool = False
    """Before log-in: users differ; the values are the shortest expiry and the longest delay of any."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The account may come in; the maildrop is locked and listed."""

    username: str
    maildrop: Maildrop
    offers: Offers


@dataclass(frozen=True, slots=True)
class Refused:
    """No, and why."""

    text: str
    code: Code | None = None


@dataclass(frozen=True, slots=True)
class AtHand:
    """The message lies in the maildrop's window now."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The message was too large for the window and has been sent already."""


Answer = LoggedIn | Refused | AtHand | Sent


@dataclass(frozen=True, slots=True)
class Large:
    """A message too large for the window: the adapter sends it block by block, then answers `Sent`."""

    size_octets: int
    blocks: AsyncIterator[bytes]


class Visit(Protocol):
    """Who answers the questions of one session; implemented by `retrieval`."""

    @property
    def offers(self) -> Offers:
        """EXPIRE and LOGIN-DELAY before log-in."""

    async def log_in(self, username: str, password: str) -> LoggedIn | Refused:
        """Answer `LogIn`."""

    async def find_verifier(self, username: str) -> ScramVerifier | Refused | None:
        """Answer `FindVerifier`."""

    async def open_proven(self, username: str) -> LoggedIn | Refused:
        """Answer `OpenProven`."""

    async def refuse_unproven(self, username: str) -> Refused:
        """Answer `RefuseUnproven`."""

    async def fetch(self, number: int) -> AtHand | Large | Refused:
        """Answer `Fetch`."""

    async def commit(self) -> bool:
        """Answer `Commit`; True lets go of the maildrop."""

    async def close(self) -> None:
        """The connection is gone: let go of the maildrop if it is still locked. Deletes nothing, never raises."""
