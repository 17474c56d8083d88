"""Who a recipient is, by the directory: nobody, a relay domain's, an account, or several through aliases.

Neighbours: `reception/inbound` and `submission` ask for the fact, `reception/intake` for the copies to make.
"""

from mailstack.mail.address import NULL_SENDER, Address
from mailstack.mail.envelope import Envelope, Notify, Recipient
from mailstack.policy.relay import Hosted
from mailstack.store.acceptance import Addressed, LocalCopy, RemoteCopy
from mailstack.store.directory import Directory, DomainKind


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

    A recipient that asked for a report of success goes through the queue even when it is ours: there the report is
    made, durably (RFC 3461 section 5.2.3). So does one that the directory knows no more.
    """
    sender = envelope.reverse_path
    addressed = []
    for recipient in envelope.recipients:
        row = remote_copy(recipient, recipient.address)
        resolution = None
        if not recipient.address.domain or directory.domain(recipient.address.domain):
            resolution = directory.resolve(recipient.address)
        wants_success = recipient.notify is not None and Notify.SUCCESS in recipient.notify
        if resolution is None or (wants_success and resolution.accounts):
            addressed.append(Addressed(row, remote=(row,)))
            continue
        local = tuple(
            LocalCopy(account.id, str(recipient.address), delivery_prefix(sender, account.address))
            for account in resolution.accounts
        )
        remote = tuple(remote_copy(recipient, address) for address in resolution.remote)
        addressed.append(Addressed(row, local, remote))
    return addressed


def remote_copy(recipient: Recipient, address: Address) -> RemoteCopy:
    """The queue's row for a recipient at an address (its own, or an alias's target)."""
    notify = None if recipient.notify is None else recipient.notify.value
    return RemoteCopy(str(address), address.domain, notify, recipient.orcpt)


def delivery_prefix(sender: Address, account: Address) -> bytes:
    """What final delivery puts in front: Return-Path (RFC 5321 section 4.4) and Delivered-To."""
    path = "" if sender == NULL_SENDER else str(sender)
    return f"Return-Path: <{path}>\r\nDelivered-To: {account}\r\n".encode()
