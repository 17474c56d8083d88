"""The end of an account: its mailbox, its place in aliases and its limits go with it, in one transaction.

Neighbours: `accounts` for the rest of an account's life; `store/content` deletes what nothing refers to any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from mailstack.management import accounts
from mailstack.management.actor import Actor, record
from mailstack.store.content import ContentStore, release_contents
from mailstack.store.database import Database
from mailstack.store.directory import bump_version
from mailstack.store.schema import account, alias, alias_target, domain, limit_rule, maildrop_entry


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes, or went, with an account."""

    address: str
    messages: int
    octets: int
    aliases_kept: tuple[str, ...]
    """Aliases that lose this target and keep others."""
    aliases_removed: tuple[str, ...]
    """Aliases that had no other target."""


def preview(connection: Connection, actor: Actor, address: str) -> Removal:
    """What removing an account would do; `Refused` when it is not there."""
    return _removal(connection, *accounts.number_of(connection, actor, address))


def remove(database: Database, actor: Actor, address: str, contents: ContentStore) -> Removal:
    """Remove an account with its mail, which cannot be undone. Blocks.

    Raises:
        Refused: it is not there.
    """
    removal, files = database.write_now(lambda connection: _remove(connection, actor, address))
    contents.remove_files_now(files)
    return removal


def _remove(connection: Connection, actor: Actor, address: str) -> tuple[Removal, list[str]]:
    number, key = accounts.lock(connection, actor, address)
    removal = _removal(connection, number, key)
    connection.execute(delete(alias_target).where(func.lower(alias_target.c.address) == key))
    connection.execute(delete(alias).where(~select(alias_target).where(alias_target.c.alias_id == alias.c.id).exists()))
    connection.execute(delete(limit_rule).where(limit_rule.c.scope == key))
    held = select(maildrop_entry.c.content_id).where(maildrop_entry.c.account_id == number)
    released: Sequence[int] = connection.scalars(held).all()
    connection.execute(delete(maildrop_entry).where(maildrop_entry.c.account_id == number))
    connection.execute(delete(account).where(account.c.id == number))
    files = release_contents(connection, released)
    record(connection, actor, "account.remove", key, f"messages={removal.messages} octets={removal.octets}")
    bump_version(connection)
    return removal, files


def _removal(connection: Connection, number: int, key: str) -> Removal:
    mail = select(func.count(), func.coalesce(func.sum(maildrop_entry.c.size_octets), 0)).where(
        maildrop_entry.c.account_id == number
    )
    messages, octets = connection.execute(mail).one()
    pointing = (
        select(
            alias.c.local_part,
            domain.c.name,
            select(func.count()).where(alias_target.c.alias_id == alias.c.id).scalar_subquery().label("targets"),
        )
        .select_from(alias.join(domain))
        .where(
            select(alias_target.c.alias_id)
            .where(alias_target.c.alias_id == alias.c.id, func.lower(alias_target.c.address) == key)
            .exists()
        )
        .order_by(domain.c.name, alias.c.local_part)
    )
    rows = connection.execute(pointing).all()
    kept = tuple(f"{row.local_part}@{row.name}" for row in rows if row.targets > 1)
    return Removal(
        key, messages, octets, kept, tuple(f"{row.local_part}@{row.name}" for row in rows if row.targets == 1)
    )
