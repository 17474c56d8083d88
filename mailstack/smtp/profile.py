"""What all sessions of one listening port have in common: the host's name, its bounds, and what EHLO offers.

Neighbours: `session` reads it; `net/smtp_server` makes it from the config.
"""

from dataclasses import dataclass, field

from mailstack.mail.reply import Reply
from mailstack.smtp.questions import Service

MAX_MESSAGES = 100_000
"""Messages in one session, told as MAILMAX (RFC 9422); nobody honest comes near it within the session's time."""


@dataclass(frozen=True)
class Profile:
    """Bounds and offers; the replies made of them are computed once."""

    hostname: str
    service: Service
    offers_tls: bool
    max_message_size: int
    max_recipients: int
    max_line: int
    soft_errors: int
    """From this many errors on, each is answered later than the last."""
    hard_errors: int
    """At this many the session ends."""
    max_idle_commands: int = 100
    """NOOP, RSET, VRFY and the like without a message; more of them are errors."""
    recipient_overshoot: int = 1000
    """Recipients refused for being too many, without counting as errors: a list server may send them all at once."""
    secret: bytes = b""
    """Random, of this host: see `wire/sasl.start_exchange`."""
    greeting: Reply = field(init=False)
    helo: Reply = field(init=False)
    ehlo_clear: Reply = field(init=False)
    ehlo_tls: Reply = field(init=False)

    def __post_init__(self) -> None:
        set_once = object.__setattr__  # frozen: these four are filled in here and never again
        set_once(self, "greeting", Reply(220, None, f"{self.hostname} ESMTP Mailstack"))
        set_once(self, "helo", Reply(250, None, self.hostname))
        set_once(self, "ehlo_clear", self._make_ehlo(tls_is_on=False))
        set_once(self, "ehlo_tls", self._make_ehlo(tls_is_on=True))

    def _make_ehlo(self, *, tls_is_on: bool) -> Reply:
        lines = [
            self.hostname,
            "PIPELINING",
            f"SIZE {self.max_message_size}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "DSN",
            "CHUNKING",
            f"LIMITS RCPTMAX={self.max_recipients} MAILMAX={MAX_MESSAGES}",
        ]
        if tls_is_on and self.service is Service.SUBMISSION:
            lines.append("AUTH PLAIN LOGIN SCRAM-SHA-256")
        if self.offers_tls and not tls_is_on:
            lines.append("STARTTLS")
        return Reply(250, None, "\n".join(lines))
