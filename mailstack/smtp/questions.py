"""What an SMTP session asks of the host, and the facts it asks with.

`session` (the pure core) raises these questions as `events`, `net/smtp_server` awaits the answers, and `reception/`
gives them as a `Reception`. One question is open at a time. An answer that cannot be had now is a 4yz reply; an
exception is our own fault and becomes 451.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from mailstack.mail.envelope import Envelope, Recipient
from mailstack.mail.reply import Reply
from mailstack.wire.scram import ScramVerifier


class Service(Enum):
    """What a port is for."""

    MX = "smtp"
    """Mail from the world for our domains (RFC 5321)."""
    SUBMISSION = "submission"
    """Mail from our accounts for the world (RFC 6409)."""


@dataclass(slots=True)
class SessionFacts:
    """What is known of a session; the core keeps it up to date, the host reads it."""

    number: int
    """Distinct within the process: ties the log lines of a session together."""
    service: Service
    client_address: str
    """IPv4 or IPv6 address, as text."""
    client_port: int = 0
    local_port: int = 0
    tls: str | None = None
    """Version and cipher once TLS is on: `TLSv1.3 TLS_AES_256_GCM_SHA384`."""
    helo: str = ""
    """What the client calls itself; empty before EHLO."""
    esmtp: bool = False
    """It said EHLO, not HELO."""
    login: str | None = None
    """The account's address once authenticated."""


@dataclass(frozen=True, slots=True)
class LoginDecision:
    """The answer to an authentication: the reply, and who the client is now (None = still nobody)."""

    reply: Reply
    login: str | None = None


class ContentSink(Protocol):
    """Takes the content of one message. After `finish` or `abandon` nothing more is called."""

    def write(self, data: bytes, /) -> Awaitable[None] | None:
        """Take unstuffed content; an awaitable = wait for it before giving more."""

    async def finish(self) -> Reply:
        """The content is whole: commit it. A positive reply means that it is on disk."""

    def abandon(self) -> None:
        """There will be no more: drop everything."""


class Reception(Protocol):
    """The host's side of a session: every decision that is not the protocol's own."""

    async def connected(self, session: SessionFacts, /) -> Reply | None:
        """A client is here: None = welcome; a reply (421 or 554) is sent and the connection closed."""

    async def password(self, session: SessionFacts, username: str, password: str, /) -> LoginDecision:
        """PLAIN or LOGIN: is this password right?"""

    async def verifier(self, session: SessionFacts, username: str, /) -> ScramVerifier | None:
        """SCRAM: the account's verifier; None = no such account."""

    async def scram_proven(self, session: SessionFacts, username: str, /) -> LoginDecision:
        """SCRAM: the client has proven the password; may the account log in?"""

    async def scram_refused(self, session: SessionFacts, username: str, /) -> LoginDecision:
        """SCRAM: the proof was wrong; the reply that says so."""

    async def mail_from(self, session: SessionFacts, envelope: Envelope, auth_param: str | None, /) -> Reply:
        """May this reverse-path begin a transaction? `auth_param` is the decoded AUTH= (RFC 4954 section 5)."""

    async def rcpt_to(self, session: SessionFacts, envelope: Envelope, recipient: Recipient, /) -> Reply:
        """May this recipient be added? The core appends it to the envelope when the reply is positive."""

    def refused(self, session: SessionFacts, envelope: Envelope | None, reply: Reply, /) -> None:
        """The core has refused something by itself; for the log."""

    def content_begins(self, session: SessionFacts, envelope: Envelope, /) -> ContentSink:
        """The content is about to come: where does it go?"""
