"""Who a recipient is, by the directory: nobody, a relay domain's, an account, or several through aliases.

Neighbours: `reception/inbound` and `submission` ask for the fact, `reception/intake` for the copies to make.
"""

from dataclasses import replace

from mailstack.mail.address import NULL_SENDER, Address
from mailstack.mail.envelope import Envelope, Notify, Recipient
from mailstack.mail.outcome import LOCAL_PEER, Delivered, Failed, Outcome
from mailstack.mail.reply import reply
from mailstack.mail.status import Status
from mailstack.policy.relay import Hosted
from mailstack.store.acceptance import Addressed, Expansion, LocalCopy, RemoteCopy
from mailstack.store.directory import Directory, DomainKind, Resolution


def find_hosted(directory: Directory, address: Address) -> Hosted:
    """What the recipient is to us."""
    if address.domain:
        domain = directory.domain(address.domain)
        if domain is None:
            return Hosted.NOT_OURS
        if domain.kind is DomainKind.RELAY:
            return Hosted.RELAY
    return Hosted.UNKNOWN if directory.resolve(address) is None else Hosted.KNOWN


def address_copies(directory: Directory, envelope: Envelope) -> list[Addressed]:
    """For each recipient of the envelope the copies it means.

    A recipient that asked for a report of success which we owe goes through the queue even when it is ours: there the
    report is made, durably (RFC 3461 section 5.2.3). So does one that the directory knows no more.
    """
    sender = envelope.reverse_path
    addressed = []
    for recipient in envelope.recipients:
        row = remote_copy(recipient, recipient.address)
        resolution = _resolve(directory, recipient.address)
        wants_success = recipient.notify is not None and Notify.SUCCESS in recipient.notify
        if resolution is None or (wants_success and not _is_passed_on(resolution)):
            addressed.append(Addressed(row, remote=(row,)))
        else:
            copies = _copies(sender, recipient, resolution)
            addressed.append(Addressed(row, copies.local, copies.remote))
    return addressed


def expand(directory: Directory, sender: Address, recipient: Recipient) -> tuple[Outcome, Expansion]:
    """What a recipient of ours becomes that the queue serves, by the directory of this moment.

    An alias of one other address hands the duty to report success on with the mail; one of several is delivered by
    being expanded, and its targets owe no report of success (RFC 3461 section 5.2.7).
    """
    resolution = _resolve(directory, recipient.address)
    if resolution is None:
        gone = reply(550, Status.UNKNOWN_MAILBOX, f"<{recipient.address}> is not a mailbox here any more")
        return Failed(gone, LOCAL_PEER), Expansion()
    if _is_passed_on(resolution):
        words = reply(250, Status.UNDEFINED, f"goes to {resolution.remote[0]}")
        return Delivered(words, LOCAL_PEER, dsn_relayed=True), _copies(sender, recipient, resolution)
    count = len(resolution.accounts) + len(resolution.remote)
    words = reply(250, Status.UNDEFINED, "into the mailbox" if count == 1 else f"goes to {count} addresses")
    if recipient.notify is not None:
        recipient = replace(recipient, notify=recipient.notify & ~Notify.SUCCESS)
    return Delivered(words, LOCAL_PEER, is_expanded=count > 1), _copies(sender, recipient, resolution)


def _resolve(directory: Directory, address: Address) -> Resolution | None:
    """Where an address leads; None when it is not of ours, or nobody has it."""
    if address.domain and directory.domain(address.domain) is None:
        return None
    return directory.resolve(address)


def _is_passed_on(resolution: Resolution) -> bool:
    """Whether the mail goes on to exactly one address elsewhere."""
    return not resolution.accounts and len(resolution.remote) == 1


def _copies(sender: Address, recipient: Recipient, resolution: Resolution) -> Expansion:
    local = tuple(
        LocalCopy(account.id, str(account.address), delivery_prefix(sender, account.address))
        for account in resolution.accounts
    )
    return Expansion(local, tuple(remote_copy(recipient, address) for address in resolution.remote))


def remote_copy(recipient: Recipient, address: Address) -> RemoteCopy:
    """The queue's row for a recipient at an address (its own, or an alias's target)."""
    notify = None if recipient.notify is None else recipient.notify.value
    return RemoteCopy(str(address), address.domain, notify, recipient.orcpt)


def delivery_prefix(sender: Address, account: Address) -> bytes:
    """What final delivery puts in front: Return-Path (RFC 5321 section 4.4) and Delivered-To."""
    path = "" if sender == NULL_SENDER else str(sender)
    return f"Return-Path: <{path}>\r\nDelivered-To: {account}\r\n".encode()
