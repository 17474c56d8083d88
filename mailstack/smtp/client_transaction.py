"""One mail transaction from the client's side: its commands, and what became of each recipient.

Pure. RFC 5321 sections 3.3 and 4.5.3.1.10. Neighbours: `client` owns the session and feeds it the replies.
"""

from dataclasses import dataclass, field

from mailstack.mail.outcome import Deferred, Delivered, Failed, Outcome
from mailstack.mail.reply import Reply
from mailstack.mail.status import EnhancedStatus, Status


@dataclass(slots=True)
class Transaction:
    """The commands, and the outcomes as they become known; an outcome is None while it is open."""

    mail: bytes
    """The MAIL command, CRLF included."""
    rcpts: list[bytes]
    """The RCPT commands, in the recipients' order."""
    size_octets: int
    """The content's exact size; needed for BDAT."""
    mail_accepted: bool = False
    accepted: list[int] = field(default_factory=list)
    """Indices of the recipients that the peer took."""
    outcomes: list[Outcome | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outcomes = [None] * len(self.rcpts)

    def note_recipient(self, index: int, reply: Reply, peer: str) -> None:
        """Take the reply to one RCPT; without effect when MAIL was refused, as that decided already."""
        if self.outcomes[index] is not None:
            return
        if reply.is_positive:
            self.accepted.append(index)
        else:
            self.outcomes[index] = refusal(_as_452(reply), peer)

    def note_content(self, reply: Reply, peer: str, dsn_relayed: bool) -> None:
        """Take the reply to the whole content: it holds for all recipients accepted before."""
        if reply.is_positive:
            self.decide_rest(Delivered(reply, peer, dsn_relayed))
        else:
            self.decide_rest(refusal(reply, peer))

    def decide_rest(self, outcome: Outcome) -> None:
        """Give all recipients that are still open the same outcome."""
        self.outcomes = [known or outcome for known in self.outcomes]
        self.accepted.clear()


def refusal(reply: Reply, peer: str) -> Outcome:
    """What a reply that is not positive means: 5yz never, all else not now; a 421 speaks for the whole destination."""
    if 500 <= reply.code < 600:
        return Failed(reply, peer)
    return Deferred(reply, peer, whole_destination=reply.code == 421)


def _as_452(reply: Reply) -> Reply:
    """A 552 to RCPT once said "too many recipients": a client treats it as 452 (RFC 5321 section 4.5.3.1.10)."""
    if reply.code != 552:
        return reply
    status = EnhancedStatus(4, reply.status.subject, reply.status.detail) if reply.status else None
    return Reply(452, status, reply.text)


def is_too_many(reply: Reply) -> bool:
    """The peer wants the remaining recipients in a transaction of their own."""
    if reply.code != 452:
        return False
    return reply.status in (None, EnhancedStatus.of(4, Status.TOO_MANY_RECIPIENTS))
