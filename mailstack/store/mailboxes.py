"""The mail that accounts keep here: locked, listed, read and removed for POP3 (RFC 1939; RFC 2449 section 6).

One session at a time has a maildrop. Within a process a set says which are open; where nodes share a database, a
lease on the `mailbox` row says it too, renewed while the session lives, so that a node that dies locks nobody out for
long. Neighbours: `retrieval` calls this, `reception/intake` puts mail in, `content` keeps the files.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, text, update

from mailstack.store.content import ContentStore, StoredContent, release_contents
from mailstack.store.database import Database
from mailstack.store.engine import StoreTrouble
from mailstack.store.schema import account, content, domain, mailbox, maildrop_entry, micros

LEASE = timedelta(seconds=90)
RENEW_LEASES_EACH = timedelta(seconds=30)
_LOGIN_NOTED_EACH = timedelta(hours=1)
"""Where no LOGIN-DELAY needs the exact time, a poll each minute must not cost a commit each minute."""
_SLICE = 500

_LIST = (
    select(maildrop_entry.c.id, maildrop_entry.c.size_octets, maildrop_entry.c.unique_id)
    .where(maildrop_entry.c.account_id == bindparam("account_id"))
    .order_by(maildrop_entry.c.id)
)
_LAST_LOGIN = select(mailbox.c.last_login_at).where(mailbox.c.account_id == bindparam("account_id"))
_MAKE_MAILBOX = text("INSERT INTO mailbox (account_id) VALUES (:account_id) ON CONFLICT (account_id) DO NOTHING")
_READ = (
    select(
        maildrop_entry.c.id,
        maildrop_entry.c.prefix,
        content.c.body,
        content.c.file,
        content.c.size_octets,
    )
    .join(content, content.c.id == maildrop_entry.c.content_id)
    .where(maildrop_entry.c.id.in_(bindparam("entry_ids", expanding=True)))
)
Listing = Sequence[tuple[int, int, str]]
"""`(entry id, size in octets as RETR sends it, unique-id)`, oldest first."""


class OpenRefusal(Enum):
    """Why a maildrop is not opened."""

    IN_USE = "another session has it"
    TOO_SOON = "the last log-in is not long enough ago"


class KeptMessage(NamedTuple):
    """A message as it is kept: the recipient's own trace fields, then the content, in a column or in a file."""

    entry_id: int
    prefix: bytes
    body: bytes | None
    file: str | None
    content_octets: int


class Mailboxes:
    """The maildrops of all accounts."""

    def __init__(self, database: Database, contents: ContentStore, *, node: str, shared: bool) -> None:
        """`node` names this process, anew at each start; `shared` says that there may be others on the database."""
        self._database = database
        self._contents = contents
        self._node = node
        self._shared = shared
        self._open: set[int] = set()

    # --- one session --------------------------------------------------------------------------------------------------

    async def open(self, account_id: int, now: datetime, login_delay: timedelta) -> Listing | OpenRefusal:
        """Lock an account's maildrop and list it. Must be followed by `close`, or by a `remove` that succeeds.

        Raises:
            StoreTrouble: the database does not answer now; nothing is locked.
        """
        if account_id in self._open:
            return OpenRefusal.IN_USE
        self._open.add(account_id)
        try:
            opened = await self._lock_and_list(account_id, now, login_delay)
        except BaseException:
            self._open.discard(account_id)
            raise
        if isinstance(opened, OpenRefusal):
            self._open.discard(account_id)
        return opened

    async def _lock_and_list(self, account_id: int, now: datetime, login_delay: timedelta) -> Listing | OpenRefusal:
        listing: Listing | None = None
        if not self._shared and not login_delay:
            last_login_at, already = await self._database.read(partial(_list, account_id))
            if last_login_at is not None and micros(now - _LOGIN_NOTED_EACH) < last_login_at:
                return already
            listing = already
        refusal = await self._database.write(
            partial(_claim, account_id, self._node if self._shared else None, now, login_delay)
        )
        if refusal is not None:
            return refusal
        if listing is not None:
            return listing
        return (await self._database.read(partial(_list, account_id)))[1]

    async def read(self, entry_ids: list[int]) -> dict[int, KeptMessage]:
        """Messages by entry, in one query; those that are gone are missing.

        Raises:
            StoreTrouble: the database does not answer now.
        """
        return await self._database.read(partial(_read, entry_ids))

    async def remove(self, account_id: int, entry_ids: list[int]) -> None:
        """Remove messages and let go of the maildrop: one commit, on disk when this returns. All or nothing.

        Raises:
            StoreTrouble: it could not be committed, or the lock was lost; nothing is removed and the maildrop is
            still locked.
        """
        node = self._node if self._shared else None
        files = await self._database.write(partial(_remove, account_id, entry_ids, node))
        self._open.discard(account_id)
        await self._remove_files(files)

    async def close(self, account_id: int) -> None:
        """Let go of the maildrop; where the database is away, its lease ends by itself."""
        self._open.discard(account_id)
        if self._shared:
            await self._database.write(partial(_release, account_id, self._node))

    def stored(self, message: KeptMessage) -> StoredContent:
        """The content of a message, to read in blocks."""
        return self._contents.stored(message.content_octets, message.body, message.file)

    async def _remove_files(self, files: list[str]) -> None:
        with suppress(
            OSError
        ):  # the removal is committed whatever the disk says; a file that stays is swept as an orphan
            await self._contents.remove_files(files)

    # --- the upkeep ---------------------------------------------------------------------------------------------------

    async def renew_leases(self, now: datetime) -> None:
        """Keep what is open locked; call it each `RENEW_LEASES_EACH`.

        Raises:
            StoreTrouble: the database does not answer now.
        """
        if self._shared and self._open:
            await self._database.write(partial(_renew, sorted(self._open), self._node, now))

    async def expire(self, now: datetime, default_days: int | None) -> int:
        """Remove mail that is older than its domain's EXPIRE, but not under an open session; the number removed.

        EXPIRE 0 is no age: what was fetched is removed at QUIT instead, and what was not is kept.

        Raises:
            StoreTrouble: the database does not answer now; what was removed stays removed.
        """
        removed = 0
        expired = await self._database.read(partial(_find_expired, now, default_days))
        for account_id, rows in groupby(expired, key=itemgetter(0)):
            entry_ids = [entry_id for _, entry_id in rows]
            if account_id in self._open:
                continue
            self._open.add(account_id)
            try:
                for part in _slices(entry_ids):
                    files = await self._database.write(partial(_expire, account_id, part, now))
                    await self._remove_files(files)
                    removed += len(part)
            finally:
                self._open.discard(account_id)
        return removed


# --- units of work, on a database thread ------------------------------------------------------------------------------


def _list(account_id: int, connection: Connection) -> tuple[int | None, Listing]:
    key = {"account_id": account_id}
    last_login_at = connection.execute(_LAST_LOGIN, key).scalar_one_or_none()
    return last_login_at, connection.execute(_LIST, key).all()


def _claim(
    account_id: int, node: str | None, now: datetime, login_delay: timedelta, connection: Connection
) -> OpenRefusal | None:
    columns = (mailbox.c.last_login_at, mailbox.c.locked_by, mailbox.c.locked_until)
    query = select(*columns).where(mailbox.c.account_id == account_id).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        connection.execute(_MAKE_MAILBOX, {"account_id": account_id})
        row = connection.execute(query).one()
    moment = micros(now)
    values = {"last_login_at": moment}
    lock = {"locked_by": node, "locked_until": micros(now + LEASE)} if node is not None else {}
    last_login_at, locked_by, locked_until = row
    if node is not None and locked_by not in (None, node) and locked_until > moment:
        return OpenRefusal.IN_USE
    if last_login_at is not None and moment < last_login_at + login_delay // timedelta(microseconds=1):
        return OpenRefusal.TOO_SOON
    connection.execute(update(mailbox).where(mailbox.c.account_id == account_id).values(**values, **lock))
    return None


def _read(entry_ids: list[int], connection: Connection) -> dict[int, KeptMessage]:
    rows = connection.execute(_READ, {"entry_ids": entry_ids})
    return {row[0]: KeptMessage._make(row) for row in rows}


def _remove(account_id: int, entry_ids: list[int], node: str | None, connection: Connection) -> list[str]:
    if node is not None:
        _release_or_raise(account_id, node, connection)
    files = []
    for part in _slices(entry_ids):
        files += _remove_entries(account_id, part, connection)
    return files


def _remove_entries(account_id: int, entry_ids: list[int], connection: Connection) -> list[str]:
    """Take entries, their share of the counters and content that nobody needs; the files to remove afterwards."""
    removed = connection.execute(
        delete(maildrop_entry)
        .where(maildrop_entry.c.account_id == account_id, maildrop_entry.c.id.in_(entry_ids))
        .returning(maildrop_entry.c.content_id, maildrop_entry.c.size_octets)
    ).all()
    connection.execute(
        update(mailbox)
        .where(mailbox.c.account_id == account_id)
        .values(
            used_octets=mailbox.c.used_octets - sum(row.size_octets for row in removed),
            used_messages=mailbox.c.used_messages - len(removed),
        )
    )
    return release_contents(connection, (row.content_id for row in removed))


def _release(account_id: int, node: str, connection: Connection) -> int:
    mine = (mailbox.c.account_id == account_id) & (mailbox.c.locked_by == node)
    return connection.execute(update(mailbox).where(mine).values(locked_by=None, locked_until=None)).rowcount


def _release_or_raise(account_id: int, node: str, connection: Connection) -> None:
    if not _release(account_id, node, connection):
        raise StoreTrouble("the lease on the maildrop ran out and another session took it")


def _renew(account_ids: list[int], node: str, now: datetime, connection: Connection) -> None:
    for part in _slices(account_ids):
        mine = mailbox.c.account_id.in_(part) & (mailbox.c.locked_by == node)
        connection.execute(update(mailbox).where(mine).values(locked_until=micros(now + LEASE)))


def _find_expired(now: datetime, default_days: int | None, connection: Connection) -> Sequence[tuple[int, int]]:
    days = func.coalesce(domain.c.expire_days, default_days)
    day = 24 * 60 * 60 * 1_000_000
    found = (
        select(maildrop_entry.c.account_id, maildrop_entry.c.id)
        .join(account, account.c.id == maildrop_entry.c.account_id)
        .join(domain, domain.c.id == account.c.domain_id)
        .where(days > 0, maildrop_entry.c.received_at < micros(now) - days * day)
        .order_by(maildrop_entry.c.account_id, maildrop_entry.c.id)
    )
    return connection.execute(found).all()


def _expire(account_id: int, entry_ids: list[int], now: datetime, connection: Connection) -> list[str]:
    held = select(mailbox.c.locked_until).where(mailbox.c.account_id == account_id).with_for_update()
    locked_until = connection.execute(held).scalar_one_or_none()
    if locked_until is not None and locked_until > micros(now):
        return []
    return _remove_entries(account_id, entry_ids, connection)


def _slices(ids: list[int]) -> Iterable[list[int]]:
    return (ids[start : start + _SLICE] for start in range(0, len(ids), _SLICE))
