"""The end of a domain, an account or an alias: what goes with it, told before and done in one go.

Neighbours: `accounts`, `aliases` and `domains` for the rest of their lives; `store/content` deletes what nothing refers
to any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from mailstack.mail.address import Address
from mailstack.management import accounts, aliases, domains
from mailstack.management.actor import Actor, record, require_all_domains, require_domain
from mailstack.management.acts import read_address
from mailstack.store.content import ContentStore, release_contents
from mailstack.store.database import Database
from mailstack.store.directory import bump_version
from mailstack.store.schema import (
    account,
    administrator,
    alias,
    alias_target,
    delivery,
    domain,
    forward,
    limit_rule,
    mailbox,
    maildrop_entry,
    role,
)

ACCOUNTS_AT_ONCE = 20
"""Of a domain that goes with its accounts: mail flow gets its turn between two steps."""


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
    forwards: tuple[str, ...]
    """Accounts that forward to it and will no longer."""


@dataclass(frozen=True, slots=True)
class DomainRemoval:
    """What goes, or went, with a domain."""

    name: str
    accounts: int
    aliases: int
    messages: int
    octets: int
    limits: int
    administrators: tuple[str, ...]
    """Who ran it, and will no longer."""


@dataclass(frozen=True, slots=True)
class AliasRemoval:
    """What removing an alias would do."""

    address: Address
    targets: tuple[Address, ...]
    caught_by: tuple[Address, ...]
    """The targets of the catch-all, which would take its mail; with none it is refused."""
    aliases: tuple[str, ...]
    """Other aliases that lead to it: that target of theirs would be left out."""


# --- an account -------------------------------------------------------------------------------------------------------


def preview(connection: Connection, actor: Actor, address: str) -> Removal:
    """What removing an account would do; `Refused` when it is not there."""
    require_domain(actor, read_address(address).domain)
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
    connection.execute(delete(forward).where(func.lower(forward.c.address) == key))
    connection.execute(delete(limit_rule).where(limit_rule.c.scope == key))
    held = select(maildrop_entry.c.content_id).where(maildrop_entry.c.account_id == number)
    released: Sequence[int] = connection.scalars(held).all()
    connection.execute(delete(maildrop_entry).where(maildrop_entry.c.account_id == number))
    # What its limits held stays held until an administrator acts: nobody's limits would let it go now.
    connection.execute(update(delivery).where(delivery.c.held_for == number).values(held_for=None))
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
    pointing = _aliases_to(connection, key)
    forwarding = (
        select(account.c.local_part, domain.c.name)
        .select_from(forward.join(account).join(domain))
        .where(func.lower(forward.c.address) == key)
        .order_by(domain.c.name, account.c.local_part)
    )
    return Removal(
        key,
        messages,
        octets,
        tuple(name for name, targets in pointing if targets > 1),
        tuple(name for name, targets in pointing if targets == 1),
        tuple(f"{row.local_part}@{row.name}" for row in connection.execute(forwarding)),
    )


def _aliases_to(connection: Connection, key: str) -> list[tuple[str, int]]:
    """The aliases that have an address among their targets, and how many targets each has."""
    targets = select(func.count()).where(alias_target.c.alias_id == alias.c.id).scalar_subquery()
    has_it = select(alias_target.c.alias_id).where(
        alias_target.c.alias_id == alias.c.id, func.lower(alias_target.c.address) == key
    )
    found = (
        select(alias.c.local_part, domain.c.name, targets.label("targets"))
        .select_from(alias.join(domain))
        .where(has_it.exists())
        .order_by(domain.c.name, alias.c.local_part)
    )
    return [(f"{row.local_part}@{row.name}", row.targets) for row in connection.execute(found)]


# --- an alias ---------------------------------------------------------------------------------------------------------


def preview_alias(connection: Connection, actor: Actor, address: str) -> AliasRemoval:
    """What removing an alias would do; `Refused` when it is not there."""
    view = aliases.get(connection, actor, address)
    catch_all = (
        select(alias_target.c.address)
        .select_from(alias_target.join(alias).join(domain))
        .where(domain.c.name == view.address.domain, alias.c.local_part == "")
        .order_by(alias_target.c.address)
    )
    caught_by = connection.scalars(catch_all).all() if view.address.local else ()
    pointing = _aliases_to(connection, view.address.key) if view.address.local else []
    return AliasRemoval(
        view.address, view.targets, tuple(map(read_address, caught_by)), tuple(name for name, _ in pointing)
    )


# --- a domain ---------------------------------------------------------------------------------------------------------


def preview_domain(connection: Connection, actor: Actor, name: str) -> DomainRemoval:
    """What removing a domain with all its accounts would do; `Refused` when it is not there."""
    require_all_domains(actor, "domains are removed")
    view = domains.get(connection, actor, name)
    number = select(domain.c.id).where(domain.c.name == view.name).scalar_subquery()
    mail = (
        select(func.coalesce(func.sum(mailbox.c.used_messages), 0), func.coalesce(func.sum(mailbox.c.used_octets), 0))
        .select_from(mailbox.join(account))
        .where(account.c.domain_id == number)
    )
    messages, octets = connection.execute(mail).one()
    scopes = limit_rule.c.scope
    rules = select(func.count()).where((scopes == view.name) | scopes.endswith(f"@{view.name}", autoescape=True))
    people = select(administrator.c.name).join(role).where(role.c.domain_id == number).order_by(administrator.c.name)
    return DomainRemoval(
        view.name,
        view.accounts,
        view.aliases,
        int(messages),
        int(octets),
        connection.scalar(rules) or 0,
        tuple(connection.scalars(people)),
    )


def remove_domain(database: Database, actor: Actor, name: str, contents: ContentStore) -> DomainRemoval:
    """Remove a domain with its accounts, their mail and its aliases, which cannot be undone. Blocks.

    It goes a few accounts at a time; where it is interrupted, the rest stays and can be removed again.

    Raises:
        Refused: it is not there.
    """
    told = database.read_now(lambda connection: preview_domain(connection, actor, name))
    removed = ACCOUNTS_AT_ONCE
    while removed == ACCOUNTS_AT_ONCE:
        removed, files = database.write_now(lambda connection: _remove_some(connection, actor, told.name))
        contents.remove_files_now(files)
    database.write_now(lambda connection: _remove_rest(connection, actor, told.name))
    return told


def _remove_some(connection: Connection, actor: Actor, name: str) -> tuple[int, list[str]]:
    """Remove the next accounts; how many there were, and the files to remove after the commit."""
    views = accounts.find(connection, actor, domain_name=name, limit=ACCOUNTS_AT_ONCE)
    return len(views), [file for view in views for file in _remove(connection, actor, view.address.key)[1]]


def _remove_rest(connection: Connection, actor: Actor, name: str) -> None:
    for view in aliases.find(connection, actor, domain_name=name, limit=None):
        aliases.remove(connection, actor, str(view.address))
    domains.remove(connection, actor, name)
