"""Domains: those whose mail we keep (local) and those whose backup MX we are (relay).

Neighbours: `accounts` and `aliases` live in a domain; `store/directory` is what mail flow sees of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, or_, select, update

from mailstack.config_values import parse_host_port
from mailstack.mail.domain import domain_for_people
from mailstack.management.actor import Actor, Refused, record, require_all_domains, require_domain
from mailstack.management.acts import PAGE, contains, now_micros, read_domain, taken_means
from mailstack.store.directory import bump_version
from mailstack.store.schema import account, alias, domain, from_micros, limit_rule

SMTP_PORT = 25


@dataclass(frozen=True, slots=True)
class DomainView:
    """A domain as an administrator sees it."""

    name: str
    kind: str
    next_hop: str | None
    expire_days: int | None
    login_delay_seconds: int | None
    accounts: int
    aliases: int
    created_at: datetime

    @property
    def for_people(self) -> str:
        """The name in U-label form."""
        return domain_for_people(self.name)


@dataclass(frozen=True, slots=True)
class DomainTerms:
    """What can be set for a domain; None = the config's setting, or MX for the next hop."""

    kind: str = "local"
    next_hop: str | None = None
    """`HOST[:PORT]`."""
    expire_days: int | None = None
    login_delay_seconds: int | None = None


def add(connection: Connection, actor: Actor, name: str, terms: DomainTerms) -> DomainView:
    """Take a domain in.

    Raises:
        Refused: a bad name or terms, or it is there already.
    """
    require_all_domains(actor, "domains are added")
    key = read_domain(name)
    values = _check(terms)
    exists = f"{domain_for_people(key)} is there already; see it with `domain show`"
    if connection.scalar(select(domain.c.id).where(domain.c.name == key)):
        raise Refused(exists)
    with taken_means(exists):
        connection.execute(insert(domain).values(name=key, created_at=now_micros(), **values))
    record(connection, actor, "domain.add", key, _told(values))
    bump_version(connection)
    return get(connection, actor, key)


def change(connection: Connection, actor: Actor, name: str, terms: DomainTerms) -> DomainView:
    """Set all terms of a domain anew.

    Raises:
        Refused: no such domain, bad terms, or a relay domain would keep accounts.
    """
    require_all_domains(actor, "domains are changed")
    view = get(connection, actor, name)
    values = _check(terms)
    if terms.kind == "relay" and (view.accounts or view.aliases):
        raise Refused(f"{view.for_people} has {_inhabitants(view)}; remove them before it becomes a relay domain")
    connection.execute(update(domain).where(domain.c.name == view.name).values(**values))
    record(connection, actor, "domain.change", view.name, _told(values))
    bump_version(connection)
    return get(connection, actor, view.name)


def remove(connection: Connection, actor: Actor, name: str) -> None:
    """Let a domain go, with its limits.

    Raises:
        Refused: no such domain, or it has accounts or aliases.
    """
    require_all_domains(actor, "domains are removed")
    number, key = lock(connection, actor, name)
    view = get(connection, actor, key)
    if view.accounts or view.aliases:
        raise Refused(f"{view.for_people} still has {_inhabitants(view)}; remove them first")
    connection.execute(delete(limit_rule).where(limit_rule.c.scope.in_([key, f"each@{key}"])))
    connection.execute(delete(domain).where(domain.c.id == number))
    record(connection, actor, "domain.remove", key)
    bump_version(connection)


def get(connection: Connection, actor: Actor, name: str) -> DomainView:
    """One domain; `Refused` when it is not there."""
    key = read_domain(name)
    require_domain(actor, key)
    row = connection.execute(_query().where(domain.c.name == key)).first()
    if row is None:
        raise Refused(_absent(key))
    return _view(row)


def find(
    connection: Connection, actor: Actor, *, search: str = "", after: str = "", limit: int | None = PAGE
) -> list[DomainView]:
    """The actor's domains by name, beyond `after`; `search` is a part of the name, in either form."""
    query = _query().where(domain.c.name > after).order_by(domain.c.name).limit(limit)
    if not actor.all_domains:
        query = query.where(domain.c.name.in_(actor.domains))
    if search:
        query = query.where(name_contains(search))
    return [_view(row) for row in connection.execute(query)]


def lock(connection: Connection, actor: Actor, name: str, *, local: bool = False) -> tuple[int, str]:
    """`number_of` a domain whose accounts, aliases or terms are about to change, one writer at a time."""
    return number_of(connection, actor, name, local=local, is_to_change=True)


def number_of(
    connection: Connection, actor: Actor, name: str, *, local: bool = False, is_to_change: bool = False
) -> tuple[int, str]:
    """The number and key of a domain.

    Raises:
        Refused: not there, not the actor's, or not local where it must be.
    """
    key = read_domain(name)
    require_domain(actor, key)
    query = select(domain.c.id, domain.c.kind).where(domain.c.name == key)
    row = connection.execute(query.with_for_update() if is_to_change else query).first()
    if row is None:
        raise Refused(_absent(key))
    if local and row.kind != "local":
        raise Refused(f"{domain_for_people(key)} is a relay domain, its mail is kept elsewhere; add accounts there")
    return row.id, key


def address_contains(local_part: ColumnElement[str], search: str) -> ColumnElement[bool]:
    """The condition that an address of a local part and this row's domain has a text in it, in either form."""
    local, at, name = search.rpartition("@")
    if not at:
        return or_(contains(local_part, search), name_contains(search))
    # The domain first: it leaves few rows to look through.
    at_domain = or_(*(contains(domain.c.name, form, from_start=True) for form in _forms(name)))
    return at_domain & contains(local_part, local, to_end=True)


def name_contains(search: str) -> ColumnElement[bool]:
    """The condition that a domain's name has a text in it, in either form."""
    return or_(*(contains(domain.c.name, form) for form in _forms(search)))


def _query() -> Select[Any]:
    accounts = select(func.count()).where(account.c.domain_id == domain.c.id).scalar_subquery()
    aliases = select(func.count()).where(alias.c.domain_id == domain.c.id).scalar_subquery()
    return select(*domain.c, accounts.label("accounts"), aliases.label("aliases"))


def _view(row: Row[Any]) -> DomainView:
    values = row._asdict()
    del values["id"]
    return DomainView(**(values | {"created_at": from_micros(row.created_at)}))


def _check(terms: DomainTerms) -> dict[str, Any]:
    if terms.kind not in ("local", "relay"):
        raise Refused(f'"{terms.kind}" is no kind of domain; take local or relay')
    if terms.kind == "relay" and not terms.next_hop:
        raise Refused("a relay domain needs the host that keeps its mail; name it with --next-hop HOST[:PORT]")
    if terms.kind == "local" and terms.next_hop:
        raise Refused("a local domain keeps its mail here; make it a relay domain, or take its next hop away")
    for name, value in (("expire days", terms.expire_days), ("login delay", terms.login_delay_seconds)):
        if value is not None and value < 0:
            raise Refused(f"{value} {name} is less than nothing; give 0 or more")
    try:
        next_hop = parse_host_port(terms.next_hop, SMTP_PORT) if terms.next_hop else None
    except ValueError as error:
        raise Refused(f"next hop: {error}") from None
    return {
        "kind": terms.kind,
        "next_hop": next_hop,
        "expire_days": terms.expire_days,
        "login_delay_seconds": terms.login_delay_seconds,
    }


def _told(values: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items() if value is not None)


def _forms(search: str) -> Sequence[str]:
    try:
        return sorted({search, read_domain(search)})
    except Refused:
        return [search]


def _inhabitants(view: DomainView) -> str:
    return f"{view.accounts} accounts and {view.aliases} aliases"


def _absent(key: str) -> str:
    return f"{domain_for_people(key)} is not a domain of this host; add it with `domain add`, or see `domain list`"
