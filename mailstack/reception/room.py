"""Is there room: on the disk for a message, in a mailbox for one more (RFC 3463 X.3.1, X.2.2)."""

from pathlib import Path

from mailstack.mail.address import Address
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.store.acceptance import octets_used
from mailstack.store.content import free_space
from mailstack.store.database import Database, StoreTrouble
from mailstack.store.directory import Directory

DISK_LOW = reply(452, Status.SYSTEM_FULL, "the disk is nearly full; try again later")
MAILBOX_FULL = reply(452, Status.MAILBOX_FULL, "the mailbox is full; try again later")
STORE_AWAY = reply(451, Status.SYSTEM_OTHER, "the mailbox cannot be looked up for now; try again later")

MIN_FREE_SHARE = 0.10
MESSAGES_OF_ROOM = 1.5
"""Postfix's rule: room for one and a half of the largest message."""


class Room:
    """Guards the disk under `data` and the quotas of accounts.

    Args:
        data: the folder whose disk counts.
        database: where mailboxes are counted.
        max_message_size: octets of the largest message that is taken.
    """

    def __init__(self, data: Path, database: Database, max_message_size: int) -> None:
        self._data = data
        self._database = database
        self._max_message_size = max_message_size

    async def refuse_mail(self) -> Reply | None:
        """The refusal of any mail while the disk is low, or None."""
        free, total = free_space(self._data)
        is_low = free < MIN_FREE_SHARE * total or free < MESSAGES_OF_ROOM * self._max_message_size
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
