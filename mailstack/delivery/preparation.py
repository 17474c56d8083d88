"""Fits a mail to what the peer offers: declared, encoded down, or failed cleanly; never sent raw where it may not be.

RFC 1870, 3030, 6152, 6531. Neighbours: `remote` sends what is prepared here; `mail/scan` looks, `mail/downgrade`
encodes.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from twisted.internet.threads import deferToThread

from mailstack.delivery.outgoing import OutgoingContent, OutgoingMail
from mailstack.mail.downgrade import DowngradeError, downgrade
from mailstack.mail.envelope import Body, Envelope, Recipient
from mailstack.mail.reply import Reply, reply
from mailstack.mail.scan import MAX_LINE_OCTETS, ContentScan
from mailstack.mail.status import Status
from mailstack.smtp.client_commands import mail_command, rcpt_command
from mailstack.smtp.client_extensions import Extensions
from mailstack.smtp.client_transaction import Transaction

SMALL_OCTETS = 64 * 1024
"""Content up to this size is held in memory and goes out in one write."""
MAX_DOWNGRADE_OCTETS = 10 * 1024 * 1024


@dataclass(slots=True)
class Scanned:
    """Content, looked through once for all peers that it is offered to."""

    content: OutgoingContent
    whole: bytes | None
    """The octets, when they are few."""
    scan: ContentScan
    encoded: bytes | DowngradeError | None = None
    """The form encoded down, once a peer needed it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Content in the form that the peer takes."""

    whole: bytes | None
    content: OutgoingContent
    size_octets: int
    body: Body

    def octets(self) -> bytes | AsyncIterator[bytes]:
        """Whole, or in blocks."""
        return self.content.chunks() if self.whole is None else self.whole


async def scan_content(content: OutgoingContent) -> Scanned:
    """Look through the content; large content never stands in memory as a whole."""
    scan = ContentScan()
    if content.size_octets > SMALL_OCTETS:
        async for block in content.chunks():
            scan.feed(block)
        return Scanned(content, None, scan)
    whole = b"".join([block async for block in content.chunks()])
    scan.feed(whole)
    return Scanned(content, whole, scan)


async def prepare(mail: OutgoingMail, scanned: Scanned, extensions: Extensions) -> Prepared | Reply:
    """The content as this peer takes it, or the reply that says why it cannot have it."""
    scan = scanned.scan
    if mail.envelope.body is Body.BINARY and not extensions.binary:
        return reply(554, Status.CONVERSION_FAILED, "the next host takes no binary content")
    whole, size, body = scanned.whole, scanned.content.size_octets, mail.envelope.body
    if scan.eight_bit and body is Body.SEVEN_BIT:
        body = Body.EIGHT_BIT
    must_encode = scan.eight_bit and not extensions.eight_bit
    if must_encode or scan.longest_line > MAX_LINE_OCTETS:
        encoded = await _encode(scanned)
        if isinstance(encoded, bytes):
            whole, size, body = encoded, len(encoded), Body.SEVEN_BIT
        elif must_encode:
            return reply(554, encoded.status, f"the next host lacks 8BITMIME, and {encoded}")
        # else a long line that nobody can break without harm: the peer may well take it, and says so if not
    if extensions.max_size_octets and size > extensions.max_size_octets:
        text = f"the message has {size} octets, the next host takes {extensions.max_size_octets}"
        return reply(552, Status.TOO_BIG, text)
    return Prepared(whole, scanned.content, size, body)


async def _encode(scanned: Scanned) -> bytes | DowngradeError:
    if scanned.encoded is None:
        scanned.encoded = await _encode_anew(scanned)
    return scanned.encoded


async def _encode_anew(scanned: Scanned) -> bytes | DowngradeError:
    if scanned.scan.header_eight_bit:
        return DowngradeError(Status.UTF8_UNSUPPORTED, "header fields have characters beyond ASCII")
    if scanned.content.size_octets > MAX_DOWNGRADE_OCTETS:
        return DowngradeError(Status.CONVERSION_FAILED, "the message is too large to be encoded down")
    whole = scanned.whole
    if whole is None:
        whole = b"".join([block async for block in scanned.content.chunks()])
    try:
        return await deferToThread(downgrade, whole)
    except DowngradeError as error:
        return error


def needs_smtputf8(envelope: Envelope, scanned: Scanned) -> bool:
    """Whether SMTPUTF8 is needed whoever the recipients are (RFC 6531 section 3.4)."""
    return envelope.reverse_path.needs_smtputf8 or (envelope.smtputf8 and scanned.scan.header_eight_bit)


def make_transaction(
    mail: OutgoingMail, recipients: list[Recipient], prepared: Prepared, extensions: Extensions, *, smtputf8: bool
) -> Transaction:
    """The commands for some of the recipients."""
    command = mail_command(
        mail.envelope, extensions, size_octets=prepared.size_octets, body=prepared.body, smtputf8=smtputf8
    )
    return Transaction(command, [rcpt_command(recipient, extensions) for recipient in recipients], prepared.size_octets)
