"""Reports to the sender about failure, delay and success: a pure function from facts to the octets of a message.

A `multipart/report` (RFC 6522) of three parts: words for people (`bounce_words`), `message/delivery-status` for
programs (RFC 3464), and the header section or the whole of the message it is about (RET, RFC 3461 section 4.3).
Addresses beyond ASCII make the last two their `global` forms (RFC 6533). All lines end in CRLF and have at most 998
octets; nothing of a peer's words can become structure. Neighbours: `queue/attempt` says when a report is due,
`reception/intake` takes it in.
"""

import quopri
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from mailstack.delivery.bounce_words import SUBJECTS, Action, clean, explain, opening
from mailstack.mail.address import NULL_SENDER, Address
from mailstack.mail.envelope import Body, Envelope, Notify, Recipient, Ret
from mailstack.mail.reply import Reply
from mailstack.mail.status import EnhancedStatus

FULL_MOST_OCTETS = 1024 * 1024
"""RET=FULL returns the content up to this size; of larger messages the header section tells enough."""
HEADER_MOST_OCTETS = 64 * 1024
_LINE_MOST_OCTETS = 998
_FOLD_OCTETS = 76
_WORD_OCTETS = 200
_MSG_ID = re.compile(rb"^message-id:[ \t]*(?:\r\n[ \t]+)?(<[!-;=?-~]{3,250}>)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_WISHES = {Action.FAILED: Notify.FAILURE, Action.DELAYED: Notify.DELAY}


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """What became of one recipient. `peer` is as in `mail/outcome`; `reply` is its own, or one of ours."""

    recipient: Recipient
    action: Action
    status: EnhancedStatus
    reply: Reply | None
    peer: str
    attempted_at: datetime | None = None
    retry_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All facts of one report; its recipients share one action.

    `envelope` is that of the message it is about; `original` its header section, or its whole content where
    `returns_whole` says so; `token` is unguessable and makes the boundary and the Message-ID. Times are aware, UTC.
    """

    hostname: str
    queue_id: str
    envelope: Envelope
    arrived_at: datetime
    now: datetime
    token: str
    recipients: tuple[ReportedRecipient, ...]
    original: bytes


def is_wanted(recipient: Recipient, action: Action) -> bool:
    """Whether the sender is to be told: what NOTIFY asked for, else failures and delays (RFC 3461 section 4.1)."""
    wish = _WISHES.get(action, Notify.SUCCESS)
    if recipient.notify is None:
        return wish is not Notify.SUCCESS
    return wish in recipient.notify


def returns_whole(envelope: Envelope, size_octets: int, action: Action) -> bool:
    """Whether the report brings the whole content back; only one of failure may (RFC 3461 section 4.3)."""
    return (
        envelope.ret is Ret.FULL
        and action is Action.FAILED
        and envelope.body is not Body.BINARY
        and size_octets <= FULL_MOST_OCTETS
    )


def report_envelope(report: Report, content: bytes) -> Envelope:
    """From the null sender to the reverse-path, never to be answered with another report (RFC 3461 section 6)."""
    to = report.envelope.reverse_path
    return Envelope(
        NULL_SENDER,
        [Recipient(to, notify=Notify.NEVER)],
        body=Body.SEVEN_BIT if content.isascii() else Body.EIGHT_BIT,
        smtputf8=to.needs_smtputf8,
        size_octets=len(content),
    )


def make_report(report: Report) -> bytes:
    """The report as a message with CRLF line ends."""
    is_global = report.envelope.smtputf8 or any(
        not f"{told.recipient.address}{told.recipient.orcpt or ''}".isascii() for told in report.recipients
    )
    parts = (_words(report), _delivery_status(report, is_global), _original(report, is_global))
    boundary = f"=_{clean(report.token, 60)}"
    while any(b"--" + boundary.encode() in part for part in parts):
        boundary += "_"
    pieces = [_header(report, boundary)]
    pieces += [b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts]
    pieces.append(b"--" + boundary.encode() + b"--\r\n")
    return b"".join(pieces)


def _header(report: Report, boundary: str) -> bytes:
    host = clean(report.hostname, 255)
    lines = [
        f"From: Mail Delivery System <postmaster@{host}>",
        f"To: <{report.envelope.reverse_path}>",
        f"Subject: {_subject(report)}",
        f"Date: {format_datetime(report.now)}",
        f"Message-ID: <{clean(report.token, 60)}@{host}>",
    ]
    if found := _MSG_ID.search(report.original):
        about = found.group(1).decode("ascii")
        lines += [f"In-Reply-To: {about}", f"References: {about}"]
    lines += [
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
        "",
        "This is a delivery report in MIME format (RFC 3464).",
        "",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")


def _subject(report: Report) -> str:
    text = SUBJECTS[report.recipients[0].action]
    address = str(report.recipients[0].recipient.address)
    if not address.isascii():
        return text
    more = len(report.recipients) - 1
    return f"{text}: {clean(address, 320)}" + (f" and {more} more" if more else "")


def _words(report: Report) -> bytes:
    first = report.recipients[0]
    until = first.retry_until.strftime("%-d %B %Y, %H:%M UTC") if first.retry_until else ""
    lines = opening(clean(report.hostname, 255), first.action, len(report.recipients), until)
    for told in report.recipients:
        words = str(told.reply) if told.reply else ""
        lines += explain(told.recipient.address.for_people, told.action, told.status, told.peer, words)
    lines += [f"This host knows the message as {report.queue_id}. What was sent begins below."]
    text = "\n".join(lines) + "\n"
    if text.isascii():
        return b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + text.replace("\n", "\r\n").encode()
    # Encoded, so that a report about an address in plain letters stays one of seven bits.
    body = quopri.encodestring(text.encode("utf-8", "replace")).replace(b"\n", b"\r\n")
    return b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + body


def _delivery_status(report: Report, is_global: bool) -> bytes:
    kind = "global-delivery-status" if is_global else "delivery-status"
    lines = [f"Content-Type: message/{kind}"]
    fields = [_field("Reporting-MTA", f"dns; {report.hostname}", is_global)]
    if report.envelope.envid:
        fields.append(_field("Original-Envelope-Id", report.envelope.envid, is_global))
    fields.append(_field("Arrival-Date", format_datetime(report.arrived_at), is_global))
    for told in report.recipients:
        fields += ["", *_recipient_fields(told, is_global)]
    if not "".join(fields).isascii():
        lines.append("Content-Transfer-Encoding: 8bit")
    return "".join(f"{line}\r\n" for line in [*lines, "", *fields]).encode("utf-8", "replace")


def _recipient_fields(told: ReportedRecipient, is_global: bool) -> list[str]:
    recipient = told.recipient
    fields = []
    if recipient.orcpt and ";" in recipient.orcpt:
        kind, _, original = recipient.orcpt.partition(";")
        fields.append(_field("Original-Recipient", f"{kind.strip()}; {original.strip()}", is_global))
    fields += [
        _field("Final-Recipient", f"{_address_type(recipient.address)}; {recipient.address}", is_global),
        _field("Action", told.action.value, is_global),
        _field("Status", str(told.status), is_global),
    ]
    host, bracket, _ = told.peer.partition("[")
    if bracket and host:
        fields.append(_field("Remote-MTA", f"dns; {host}", is_global))
    if told.reply is not None:
        # Words of our own about a peer that never spoke are no SMTP reply (RFC 3464 section 2.3.6).
        kind = "smtp" if bracket else "x-mailstack"
        fields.append(_fold("Diagnostic-Code", f"{kind}; {clean(str(told.reply), 800)}", is_global))
    if told.attempted_at is not None:
        fields.append(_field("Last-Attempt-Date", format_datetime(told.attempted_at), is_global))
    if told.retry_until is not None:
        fields.append(_field("Will-Retry-Until", format_datetime(told.retry_until), is_global))
    return fields


def _address_type(address: Address) -> str:
    return "utf-8" if address.needs_smtputf8 else "rfc822"


def _field(name: str, value: str, is_global: bool) -> str:
    """One field on one line, within the length of a line."""
    value = clean(value, 900)
    octets = value.encode("utf-8", "replace") if is_global else value.encode("ascii", "replace")
    return f"{name}: {octets[:900].decode('utf-8', 'ignore')}"


def _fold(name: str, value: str, is_global: bool) -> str:
    """One field over as many lines as it needs; a word without end is cut into pieces."""
    text = value if is_global else value.encode("ascii", "replace").decode("ascii")
    lines, line = [], f"{name}:"
    for word in text.split(" "):
        for piece in (word[at : at + _WORD_OCTETS] for at in range(0, len(word), _WORD_OCTETS)):
            if len(line) + 1 + len(piece) > _FOLD_OCTETS and line.strip() not in ("", f"{name}:"):
                lines.append(line)
                line = ""
            line += f" {piece}"
    return "\r\n".join([*lines, line])


def _original(report: Report, is_global: bool) -> bytes:
    whole = report.original
    header, found, _ = whole.partition(b"\r\n\r\n")
    lines = whole.split(b"\r\n")
    if found and _is_returnable(report, lines):
        kind, content = "global" if is_global else "rfc822", whole
    else:
        kind = "global-headers" if is_global else "rfc822-headers"
        content = _tidy(header)
    if is_global:
        content = content.decode("utf-8", "replace").encode()
    media = "message" if kind != "rfc822-headers" else "text"
    head = f"Content-Type: {media}/{kind}\r\n"
    if not content.isascii():
        head += "Content-Transfer-Encoding: 8bit\r\n"
    return head.encode() + b"\r\n" + content


def _is_returnable(report: Report, lines: list[bytes]) -> bool:
    """Whether content may stand inside a message as it is: wished, of lines in their bound, no stray controls."""
    return returns_whole(report.envelope, len(report.original), report.recipients[0].action) and all(
        len(line) <= _LINE_MOST_OCTETS and b"\r" not in line and b"\n" not in line and b"\0" not in line
        for line in lines
    )


def _tidy(header: bytes) -> bytes:
    """A header section whose lines are sure to be lines, in their bound."""
    lines = re.split(rb"\r\n|\r|\n", header[:HEADER_MOST_OCTETS].replace(b"\0", b""))
    return b"".join(line[:_LINE_MOST_OCTETS] + b"\r\n" for line in lines if line)
