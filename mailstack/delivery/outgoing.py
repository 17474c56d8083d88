"""What is handed to `remote` for one attempt: a mail, and where it goes.

Neighbours: `queue/attempt` makes these; `store/content` gives the content.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from mailstack.mail.envelope import Envelope


class OutgoingContent(Protocol):
    """Content as it is kept: CRLF lines, dots not stuffed."""

    @property
    def size_octets(self) -> int:
        """The exact size."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The octets from the beginning, in blocks of at most 64 KiB; may be called again."""
        ...


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """One message on its way to one next hop."""

    message_id: str
    """The queue ID, for logs."""
    envelope: Envelope
    """Its recipients are those of this attempt."""
    content: OutgoingContent

    @property
    def size_octets(self) -> int:
        """The content's size."""
        return self.content.size_octets


class NextHopKind(Enum):
    """How the hosts of a next hop are found."""

    MX = "mx"
    HOST = "host"
    SMARTHOST = "smarthost"


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where mail goes next; make it by one of the class methods."""

    kind: NextHopKind
    name: str
    """The domain whose MX are asked for, or the host: a name or an IP address."""
    port: int | None = None
    """None = the port of the settings."""
    user: str = ""
    password: str = ""
    """With a user: the session is encrypted and logged in, or there is none."""

    @property
    def key(self) -> str:
        """Equal for what goes the same way and may share a connection."""
        return f"{self.kind.value}:{self.user}@{self.name}:{self.port or ''}"

    @classmethod
    def mx(cls, domain: str) -> "NextHop":
        """By the MX records of a domain (or to the address that an address literal names)."""
        return cls(NextHopKind.MX, domain)

    @classmethod
    def host(cls, host: str, port: int | None = None) -> "NextHop":
        """To a host that a domain names as its next hop."""
        return cls(NextHopKind.HOST, host, port)

    @classmethod
    def smarthost(cls, host: str, port: int | None = None, user: str = "", password: str = "") -> "NextHop":
        """To the host that takes all remote mail."""
        return cls(NextHopKind.SMARTHOST, host, port, user, password)
