"""One mail transaction: the envelope and how much of its content has come (RFC 5321 section 3.3, RFC 3030).

RSET, EHLO and the end of the content drop it whole. Neighbour: `session`, which feeds it.
"""

from mailstack.mail.envelope import Envelope
from mailstack.mail.reply import Reply
from mailstack.smtp import replies
from mailstack.smtp.events import ContentAbandoned, ContentData
from mailstack.wire.dots import ChunkReader, ContentReader


class Transaction:
    """From MAIL to the end of the content."""

    __slots__ = ("_max_size", "envelope", "is_abandoned", "octets", "overshoot", "reader", "refused_recipients")

    def __init__(self, envelope: Envelope, max_size: int) -> None:
        """`max_size` bounds the content, in octets."""
        self.envelope = envelope
        self.refused_recipients = 0
        self.overshoot = 0
        """Recipients beyond the bound on their number."""
        self.octets = 0
        self.reader: ContentReader | ChunkReader | None = None
        """Set once the content begins."""
        self.is_abandoned = False
        self._max_size = max_size

    @property
    def lacks_recipients(self) -> Reply | None:
        """Why the content may not begin; None when it may."""
        if self.envelope.recipients:
            return None
        return replies.NO_VALID_RECIPIENTS if self.refused_recipients else replies.SAY_RCPT_FIRST

    @property
    def refusal(self) -> Reply | None:
        """Why the content that has come is refused; None while it is sound."""
        if self.reader is not None and self.reader.defect is not None:
            return replies.DEFECTS[self.reader.defect]
        return replies.TOO_BIG if self.octets > self._max_size else None

    def has_room(self, octets: int) -> bool:
        """Whether so much more content may come."""
        return self.octets + octets <= self._max_size

    def take(self, content: bytes) -> ContentData | ContentAbandoned | None:
        """Count content that the reader has read; says what to do with it."""
        self.octets += len(content)
        if self.is_abandoned:
            return None
        if self.refusal is not None:
            return self.abandon()
        return ContentData(content) if content else None

    def abandon(self) -> ContentAbandoned | None:
        """Drop what came of the content; None when there is nothing open."""
        if self.reader is None or self.is_abandoned:
            return None
        self.is_abandoned = True
        return ContentAbandoned()
