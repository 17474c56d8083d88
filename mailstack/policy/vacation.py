"""Who is answered while somebody is away, and the answer itself (RFC 3834); pure.

Only mail that a person wrote to the account itself: in To or Cc stands one of its addresses, and nothing tells of a
list, a robot or a report. Neighbours: `reception/vacation` brings the facts, keeps who was answered, and sends.
"""

import quopri
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.header import Header
from email.utils import format_datetime, getaddresses

from mailstack.mail.address import NULL_SENDER, Address, AddressError, parse_address
from mailstack.mail.header import Field

AGAIN_AFTER = timedelta(days=7)
"""Nobody is answered twice in this time (RFC 3834 section 2)."""
MAX_NAMED = 500
"""Recipients in To and Cc that are looked at: mail to more was written to nobody in particular."""
_ROBOT = re.compile(
    r"(mailer-daemon|postmaster|listserv|majordomo|owner-.*|.*-(request|owner|bounces?|relay)"
    r"|bounces?([+=._-].*)?|no-?reply([+=._-].*)?|do-?not-?reply([+=._-].*)?)\Z",
    re.IGNORECASE,
)
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{3,250}>")
_ENCODED_SUBJECT_MOST = 500


@dataclass(frozen=True, slots=True)
class Away:
    """What an account answers; an empty subject stands for that of the mail."""

    address: Address
    subject: str
    body: str


def refuse_answer(sender: Address, fields: Sequence[Field], is_own: Callable[[Address], bool]) -> str | None:
    """Why a message gets no answer, or None when it gets one.

    Args:
        sender: the reverse-path, which is whom the answer would go to.
        fields: the header section.
        is_own: whether an address is the account's own.
    """
    if sender == NULL_SENDER:
        return "it is a report"
    if _ROBOT.match(sender.local):
        return "a robot sent it"
    if is_own(sender):
        return "the account sent it"
    for field in fields:
        text = field.text.lower()
        if field.name == b"auto-submitted" and text.partition(";")[0].strip() != "no":
            return "a robot sent it"
        if field.name.startswith(b"list-") or field.name == b"mailing-list":
            return "it came by a list"
        if field.name == b"precedence" and text in ("bulk", "list", "junk"):
            return "it was sent in bulk"
        if field.name == b"x-auto-response-suppress" and text != "none":
            return "its sender wants no answers"
    if not any(is_own(address) for address in _named(fields)):
        return "it was not written to the account itself"
    return None


def _named(fields: Iterable[Field]) -> list[Address]:
    """The addresses in To and Cc, and in the same fields of who sent it on by hand."""
    names = (b"to", b"cc", b"resent-to", b"resent-cc")
    pairs = getaddresses([field.text for field in fields if field.name in names])
    addresses = []
    for _, text in pairs[:MAX_NAMED]:
        try:
            addresses.append(parse_address(text))
        except AddressError:
            continue  # a stranger's typing mistake is no reason against the others
    return addresses


def make_answer(away: Away, sender: Address, fields: Sequence[Field], now: datetime, message_id: str) -> bytes:
    """The answer as a message with CRLF line ends.

    Args:
        away: what the account says.
        sender: who is answered.
        fields: the header section of the message that is answered.
        now: aware, UTC.
        message_id: the answer's own, with angle brackets.
    """
    lines = [
        f"From: <{away.address}>",
        f"To: <{sender}>",
        f"Subject: {_subject(away, fields)}",
        f"Date: {format_datetime(now)}",
        f"Message-ID: {message_id}",
        *_thread(fields),
        "Auto-Submitted: auto-replied",
        "X-Auto-Response-Suppress: All",  # Exchange looks at nothing else
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: quoted-printable",
    ]
    body = quopri.encodestring(f"{away.body}\n".encode("utf-8", "replace")).replace(b"\n", b"\r\n")
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace") + b"\r\n" + body


def _subject(away: Away, fields: Iterable[Field]) -> str:
    if away.subject:
        return Header(away.subject, "us-ascii" if away.subject.isascii() else "utf-8").encode(linesep="\r\n")
    original = next((field.text for field in fields if field.name == b"subject"), "")
    kept = "".join(character for character in original if character.isprintable())[:_ENCODED_SUBJECT_MOST]
    if not kept:
        return "Auto: your message"
    # Encoded words stay as they came; a subject in plain UTF-8 becomes encoded.
    return Header(f"Auto: {kept}", "us-ascii" if kept.isascii() else "utf-8").encode(linesep="\r\n")


def _thread(fields: Iterable[Field]) -> list[str]:
    """In-Reply-To and References, so that the answer stands beside what it answers (RFC 5322 section 3.6.4)."""
    told = {field.name: _MESSAGE_ID.findall(field.text) for field in fields if field.name in _THREAD_FIELDS}
    about = told.get(b"message-id", [])[:1]
    if not about:
        return []
    chain = (told.get(b"references") or told.get(b"in-reply-to", []))[-10:]
    return [f"In-Reply-To: {about[0]}", "References: " + "\r\n ".join([*chain, *about])]


_THREAD_FIELDS = frozenset({b"message-id", b"references", b"in-reply-to"})
