"""Mail that came with an account from another host: maildrop entries without a message on the timeline.

What is there by its unique-id is never put in again, so an import may be repeated. Neighbours:
`management/mail_import` decides what is put in; `acceptance` does the same for mail that arrives.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import Connection, select

from mailstack.store.acceptance import insert_entries, next_content_id, octets_used
from mailstack.store.content import StagedContent
from mailstack.store.rows import insert_rows
from mailstack.store.schema import account, content, maildrop_entry


@dataclass(frozen=True, slots=True)
class ImportedEntry:
    """One message, its content staged."""

    unique_id: str
    received_at: int
    """Microseconds since 1970."""
    content: StagedContent


class Outcome(Enum):
    """What became of an entry."""

    ADDED = "added"
    THERE = "there already"
    OVER_QUOTA = "over quota"


def find_present(connection: Connection, account_id: int, unique_ids: Collection[str]) -> dict[str, str | None]:
    """Those of the unique-ids that the maildrop has, with the file of their content."""
    rows = connection.execute(
        select(maildrop_entry.c.unique_id, content.c.file)
        .join(content, content.c.id == maildrop_entry.c.content_id)
        .where(maildrop_entry.c.account_id == account_id, maildrop_entry.c.unique_id.in_(unique_ids))
    )
    return {row.unique_id: row.file for row in rows}


def room_left(connection: Connection, account_id: int) -> int | None:
    """The octets that an account's quota leaves; None = it has none."""
    quota = connection.scalar(select(account.c.quota_octets).where(account.c.id == account_id))
    return None if quota is None else quota - octets_used(connection, [account_id]).get(account_id, 0)


def add_imported(
    connection: Connection, account_id: int, entries: Sequence[ImportedEntry], now: int, *, over_quota: bool
) -> list[Outcome]:
    """Put entries into a maildrop; an outcome for each, in order.

    Args:
        connection: in a transaction that has locked the account.
        account_id: whose.
        entries: all of different unique-ids.
        now: microseconds since 1970.
        over_quota: put in what the quota does not allow, too.
    """
    present = find_present(connection, account_id, [entry.unique_id for entry in entries])
    left = None if over_quota else room_left(connection, account_id)
    outcomes = []
    added: list[ImportedEntry] = []
    for entry in entries:
        size = entry.content.size_octets
        if entry.unique_id in present:
            # of our own file: a COMMIT that was lost with its connection, and succeeded
            is_ours = entry.content.file is not None and present[entry.unique_id] == entry.content.file
            outcomes.append(Outcome.ADDED if is_ours else Outcome.THERE)
        elif left is not None and size > left:
            outcomes.append(Outcome.OVER_QUOTA)
        else:
            left = None if left is None else left - size
            added.append(entry)
            outcomes.append(Outcome.ADDED)
    _insert(connection, account_id, added, now)
    return outcomes


def _insert(connection: Connection, account_id: int, entries: Sequence[ImportedEntry], now: int) -> None:
    contents, drops = [], []
    for entry in entries:
        number, staged = next_content_id(now), entry.content
        contents.append({"id": number, "size_octets": staged.size_octets, "body": staged.body, "file": staged.file})
        drops.append(
            {
                "account_id": account_id,
                "content_id": number,
                "unique_id": entry.unique_id,
                "prefix": b"",  # a delivered message has its Return-Path and Delivered-To
                "size_octets": staged.size_octets,
                "received_at": entry.received_at,
            }
        )
    insert_rows(connection, content, contents)
    insert_entries(connection, drops)
