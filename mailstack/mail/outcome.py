"""What became of one attempt for one recipient: a value, never an exception.

`delivery/` makes them, `queue/attempt` acts on them. In doubt it is `Deferred`, never `Failed`.
"""

from dataclasses import dataclass

from mailstack.mail.reply import Reply

LOCAL_PEER = "local"
"""The peer of what our own maildrops took."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The next hop took the responsibility for the recipient."""

    reply: Reply
    peer: str
    """Who answered: `mx1.example.org[192.0.2.1]:25`, or `LOCAL_PEER`."""
    dsn_relayed: bool = False
    """A success report is now the duty of whoever has it next (RFC 3461 section 5.2.1)."""
    is_expanded: bool = False
    """It was an alias of ours for several addresses, and is delivered by that (RFC 3461 section 5.2.7.2)."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now; will be tried again. The reply is the peer's own, or one of ours that says what went wrong."""

    reply: Reply
    peer: str
    whole_destination: bool = False
    """The destination as a whole did not serve us (no connection, refused greeting): others need not try at once."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Never; a bounce is due."""

    reply: Reply
    peer: str


Outcome = Delivered | Deferred | Failed
