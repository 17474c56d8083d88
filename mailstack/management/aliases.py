"""Aliases: an address of ours, or all others of a domain (the catch-all), that means one or many addresses.

A target may be anywhere and need not exist yet; `mailstack check` tells the dangling ones. Neighbours: `accounts` share
the name space; `store/directory` follows aliases of aliases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, tuple_

from mailstack.mail.address import Address
from mailstack.management import domains
from mailstack.management.accounts import check_free
from mailstack.management.actor import Actor, Refused, record, require_domain
from mailstack.management.acts import PAGE, now_micros, read_address, read_domain
from mailstack.management.domains import address_contains
from mailstack.store.directory import bump_version
from mailstack.store.schema import alias, alias_target, domain

MAX_TARGETS = 1000


@dataclass(frozen=True, slots=True)
class AliasView:
    """An alias; an empty local part is the catch-all."""

    address: Address
    targets: tuple[Address, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Its place in the order of `find`."""
        return self.address.domain, self.address.local


def read_alias(text: str) -> Address:
    """The address of an alias, `name@domain` or `@domain` for the catch-all; `Refused` when it is neither."""
    if text.startswith("@"):
        return Address("", read_domain(text[1:]))
    address = read_address(text)
    return Address(address.local_key, address.domain)


def add(connection: Connection, actor: Actor, address: str, targets: Sequence[str]) -> AliasView:
    """Make an alias, or add targets to one.

    Raises:
        Refused: no such local domain, the address is an account, no target, a target that is no address or itself.
    """
    wanted, aimed = read_alias(address), _read_targets(address, targets)
    domain_id, _ = domains.lock(connection, actor, wanted.domain, local=True)
    if wanted.local:
        check_free(connection, domain_id, wanted, beside_alias=True)
    number = _number(connection, domain_id, wanted)
    if number is None:
        values = {"domain_id": domain_id, "local_part": wanted.local, "created_at": now_micros()}
        number = connection.execute(insert(alias).values(**values)).inserted_primary_key[0]  # type: ignore[index]
    known = set(connection.scalars(select(func.lower(alias_target.c.address)).where(alias_target.c.alias_id == number)))
    _insert_targets(connection, number, wanted, {key: aimed[key] for key in aimed if key not in known}, len(known))
    record(connection, actor, "alias.add", str(wanted), " ".join(map(str, aimed.values())))
    bump_version(connection)
    return get(connection, actor, address)


def change(connection: Connection, actor: Actor, address: str, targets: Sequence[str]) -> AliasView:
    """Set the targets of an alias anew.

    Raises:
        Refused: no such alias, no target, a target that is no address or itself.
    """
    view, aimed = get(connection, actor, address), _read_targets(address, targets)
    domain_id, _ = domains.lock(connection, actor, view.address.domain)
    number = _number(connection, domain_id, view.address)
    if number is None:  # removed while we waited for the lock
        raise Refused(f"{_told(view.address)} is not an alias of this host any more; see `alias list`")
    connection.execute(delete(alias_target).where(alias_target.c.alias_id == number))
    _insert_targets(connection, number, view.address, aimed, 0)
    record(connection, actor, "alias.change", str(view.address), " ".join(map(str, aimed.values())))
    bump_version(connection)
    return get(connection, actor, address)


def _read_targets(address: str, targets: Sequence[str]) -> dict[str, Address]:
    """The targets by key, each once."""
    wanted = read_alias(address)
    aimed = {target.key: target for target in map(read_address, targets)}
    if not aimed:
        raise Refused(f"{_told(wanted)} needs a target; name one or more addresses")
    if wanted.key in aimed:
        raise Refused(f"{_told(wanted)} cannot be its own target; name another address")
    return aimed


def _insert_targets(
    connection: Connection, number: int, wanted: Address, aimed: dict[str, Address], known: int
) -> None:
    if known + len(aimed) > MAX_TARGETS:
        raise Refused(f"{_told(wanted)} would have more than {MAX_TARGETS} targets; split it into aliases of aliases")
    if aimed:
        rows = [{"alias_id": number, "address": str(target)} for target in aimed.values()]
        connection.execute(insert(alias_target), rows)


def remove(connection: Connection, actor: Actor, address: str, targets: Sequence[str] = ()) -> None:
    """Remove an alias, or only some targets of it; the last target takes the alias with it.

    Raises:
        Refused: no such alias, or a target it does not have.
    """
    view = get(connection, actor, address)
    domain_id, _ = domains.lock(connection, actor, view.address.domain)
    number = _number(connection, domain_id, view.address)
    left = {target.key: str(target) for target in view.targets}
    gone = [read_address(target) for target in targets]
    for target in gone:
        if target.key not in left:
            raise Refused(f"{_told(view.address)} has no target {target.for_people}; see `alias list`")
    for target in gone:
        spelling = left.pop(target.key, None)
        connection.execute(
            delete(alias_target).where(alias_target.c.alias_id == number, alias_target.c.address == spelling)
        )
    if not targets or not left:
        connection.execute(delete(alias).where(alias.c.id == number))
    record(connection, actor, "alias.remove", str(view.address), " ".join(map(str, gone)))
    bump_version(connection)


def get(connection: Connection, actor: Actor, address: str) -> AliasView:
    """One alias; `Refused` when it is not there."""
    wanted = read_alias(address)
    require_domain(actor, wanted.domain)
    found = select(alias.c.id, alias.c.local_part, domain.c.name).select_from(alias.join(domain))
    row = connection.execute(found.where(domain.c.name == wanted.domain, alias.c.local_part == wanted.local)).first()
    if row is None:
        raise Refused(f"{_told(wanted)} is not an alias of this host; see `alias list`")
    return _views(connection, [row])[0]


def find(
    connection: Connection,
    actor: Actor,
    *,
    domain_name: str | None = None,
    search: str = "",
    after: tuple[str, str] | None = None,
    limit: int | None = PAGE,
) -> list[AliasView]:
    """The actor's aliases by domain and local part, beyond the `key` of one; `search` is a part of the alias."""
    query = select(alias.c.id, alias.c.local_part, domain.c.name).select_from(alias.join(domain))
    if not actor.all_domains:
        query = query.where(domain.c.name.in_(actor.domains))
    if domain_name:
        query = query.where(domain.c.name == read_domain(domain_name))
    if search:
        query = query.where(address_contains(alias.c.local_part, search))
    if after is not None:
        query = query.where(tuple_(domain.c.name, alias.c.local_part) > after)
    return _views(connection, connection.execute(query.order_by(domain.c.name, alias.c.local_part).limit(limit)).all())


def _views(connection: Connection, rows: Sequence[Any]) -> list[AliasView]:
    targets: dict[int, list[Address]] = {row.id: [] for row in rows}
    ids = list(targets)
    for start in range(0, len(ids), 500):
        found = select(alias_target).where(alias_target.c.alias_id.in_(ids[start : start + 500]))
        for row in connection.execute(found.order_by(alias_target.c.address)):
            targets[row.alias_id].append(read_address(row.address))
    return [AliasView(Address(row.local_part, row.name), tuple(targets[row.id])) for row in rows]


def _number(connection: Connection, domain_id: int, address: Address) -> int | None:
    query = select(alias.c.id).where(alias.c.domain_id == domain_id, alias.c.local_part == address.local)
    return connection.scalar(query)


def _told(address: Address) -> str:
    return address.for_people if address.local else f"the catch-all {address.for_people}"
