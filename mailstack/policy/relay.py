"""May this recipient, may this sender? The rules against open relays, unknown users and borrowed names.

Pure: facts from the directory and the DNS come in as arguments, a refusal or None goes out. Neighbours:
`reception/inbound` and `reception/submission` ask; `smtp/replies` has the words.
"""

from enum import Enum

from mailstack.mail.lookup import SenderDomain
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status


class Hosted(Enum):
    """What a recipient's domain is to us, and whether the recipient exists."""

    NOT_OURS = "not ours"
    RELAY = "we are its backup MX"
    KNOWN = "ours, and so is the recipient"
    UNKNOWN = "ours, but nobody of that name"


def refuse_recipient(hosted: Hosted, address: str, *, may_relay: bool) -> Reply | None:
    """The refusal of a recipient, or None."""
    if hosted is Hosted.UNKNOWN:
        return reply(550, Status.UNKNOWN_MAILBOX, f"<{address}> is not a mailbox here")
    if hosted is Hosted.NOT_OURS and not may_relay:
        return reply(
            550, Status.NOT_AUTHORISED, f"we do not relay to <{address}>; submit with login on the submission port"
        )
    return None


def refuse_sender_domain(found: SenderDomain, domain: str) -> Reply | None:
    """The refusal of a reverse-path's domain, or None; silence of the DNS is not held against the sender."""
    if found is SenderDomain.NXDOMAIN:
        return reply(550, Status.UNKNOWN_SENDER_SYSTEM, f"the sender's domain {domain} does not exist or takes no mail")
    if found is SenderDomain.NULL_MX:
        return reply(550, Status.SENDER_NULL_MX, f"the sender's domain {domain} has a null MX: it sends no mail")
    return None
