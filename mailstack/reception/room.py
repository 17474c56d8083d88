"""Is there room: on the disk for a message, in a mailbox for one more (RFC 3463 X.3.1, X.2.2)."""

from collections.abc import Collection
from pathlib import Path

from mailstack.mail.address import Address
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.policy.room import is_disk_low
from mailstack.store.acceptance import octets_used
from mailstack.store.content import free_space
from mailstack.store.database import Database, StoreTrouble
from mailstack.store.directory import Directory

DISK_LOW = reply(452, Status.SYSTEM_FULL, "the disk is nearly full; try again later")
MAILBOX_FULL = reply(452, Status.MAILBOX_FULL, "the mailbox is full; try again later")
STORE_AWAY = reply(451, Status.SYSTEM_OTHER, "the mailbox cannot be looked up for now; try again later")


class Room:
    """Guards the disks of the host and the quotas of accounts.

    Args:
        folders: data and content; the disk of each counts.
        database: where mailboxes are counted.
        max_message_size: octets of the largest message that is taken.
    """

    def __init__(self, folders: Collection[Path], database: Database, max_message_size: int) -> None:
        self._folders = folders
        self._database = database
        self._max_message_size = max_message_size

    def take_settings(self, max_message_size: int) -> None:
        """Another largest message from now on."""
        self._max_message_size = max_message_size

    def refuse_mail(self) -> Reply | None:
        """The refusal of any mail while a disk is low, or None; asked at MAIL and again while long content comes."""
        is_low = any(is_disk_low(*free_space(folder), self._max_message_size) for folder in self._folders)
        return DISK_LOW if is_low else None

    async def refuse_recipient(self, directory: Directory, address: Address, size: int | None) -> Reply | None:
        """The refusal of a recipient of ours whose every mailbox is full, or None.

        An alias with one full mailbox among others is served: the others should not wait for it.

        Args:
            directory: the snapshot that the recipient is looked up in.
            address: the recipient.
            size: octets that the client declared for the message, or None.
        """
        resolution = directory.resolve(address)
        if resolution is None or resolution.remote:
            return None
        limited = {account.id: account.quota_octets for account in resolution.accounts if account.quota_octets}
        if not limited or len(limited) < len(resolution.accounts):
            return None
        try:
            used = await self._database.read(lambda connection: octets_used(connection, list(limited)))
        except StoreTrouble:
            return STORE_AWAY
        wanted = max(1, size or 0)
        is_full = all(used.get(account_id, 0) + wanted > quota for account_id, quota in limited.items())
        return MAILBOX_FULL if is_full else None
