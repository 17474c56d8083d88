"""What an SMTP session tells and asks whoever drives it.

A question must be answered (`Session.answer`) before the session goes on; a notice is acted on before the next event is
asked for. Neighbours: `session` makes them, `net/smtp_server` handles them. They are made for each command, so they
are plain slotted objects.
"""

from dataclasses import dataclass

from mailstack.mail.envelope import Envelope, Recipient
from mailstack.mail.reply import Reply


@dataclass(slots=True)
class Connected:
    """Question: is the client welcome? Answer: None, or the reply to send it away with."""


@dataclass(slots=True)
class AskPassword:
    """Question: is the password right? Answer: a LoginDecision."""

    username: str
    password: str


@dataclass(slots=True)
class AskVerifier:
    """Question: what does SCRAM prove the password against? Answer: a ScramVerifier; None for an unknown account;
    a Reply when nobody can tell now."""

    username: str


@dataclass(slots=True)
class ScramProven:
    """Question: the client knows the password; may it log in? Answer: a LoginDecision."""

    username: str


@dataclass(slots=True)
class ScramRefused:
    """Question: the client does not know the password; what is it told? Answer: a LoginDecision."""

    username: str


@dataclass(slots=True)
class MailFrom:
    """Question: may a transaction begin? Answer: a Reply."""

    envelope: Envelope
    auth_param: str | None


@dataclass(slots=True)
class RcptTo:
    """Question: may the recipient be added? Answer: a Reply."""

    envelope: Envelope
    recipient: Recipient


@dataclass(slots=True)
class ContentEnds:
    """Question: the content is whole; is it safe? Answer: the Reply of the commit."""


Question = Connected | AskPassword | AskVerifier | ScramProven | ScramRefused | MailFrom | RcptTo | ContentEnds


@dataclass(slots=True)
class ContentBegins:
    """Notice: open a place for the content of this envelope."""

    envelope: Envelope


@dataclass(slots=True)
class ContentData:
    """Notice: the next octets of the content."""

    data: bytes


@dataclass(slots=True)
class ContentAbandoned:
    """Notice: there will be no more of this content; drop what came."""


@dataclass(slots=True)
class Refused:
    """Notice: the core said no by itself, for the log. What the host refuses it knows already."""

    reply: Reply
    envelope: Envelope | None


@dataclass(slots=True)
class SlowDown:
    """Notice: wait before sending what `take_output` holds, for the client makes too many errors."""

    seconds: float


@dataclass(slots=True)
class StartTls:
    """Notice: send the output, begin TLS, then call `tls_started`. Content that was open is abandoned."""


@dataclass(slots=True)
class Close:
    """Notice: send the output and close. Content that was open is abandoned."""


Notice = ContentBegins | ContentData | ContentAbandoned | Refused | SlowDown | StartTls | Close
Event = Question | Notice
