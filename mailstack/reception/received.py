"""The Received field that we put on every message (RFC 5321 section 4.4, protocol names by RFC 3848 and RFC 6531)."""

from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from mailstack.mail.envelope import Envelope
from mailstack.smtp.questions import SessionFacts


def protocol_name(session: SessionFacts, envelope: Envelope) -> str:
    """ESMTPSA and its kin."""
    if not session.esmtp:
        return "SMTP"
    base = "UTF8SMTP" if envelope.smtputf8 else "ESMTP"
    return base + ("S" if session.tls else "") + ("A" if session.login else "")


def received_field(session: SessionFacts, envelope: Envelope, hostname: str, queue_id: str, now: datetime) -> bytes:
    """The field, folded. Of a client that logged in, neither address nor name of its machine is told to the world."""
    family = "IPv6:" if ":" in session.client_address else ""
    origin = "authenticated-user" if session.login else f"{session.helo} ([{family}{session.client_address}])"
    lines = [
        f"Received: from {origin}",
        f"\tby {hostname} with {protocol_name(session, envelope)} id {queue_id}",
    ]
    if session.tls:
        lines.append(f"\t(using {session.tls})")
    if len(envelope.recipients) == 1:
        lines.append(f"\tfor <{envelope.recipients[0].address}>")
    text = "\r\n".join(lines) + f";\r\n\t{date_time(now.replace(microsecond=0))}\r\n"
    return text.encode()


@lru_cache(maxsize=16)
def date_time(second: datetime) -> str:
    """An RFC 5322 date-time in UTC; many messages share a second."""
    return format_datetime(second)
