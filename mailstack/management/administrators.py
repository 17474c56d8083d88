"""Administrators: who may sign in to the panel, over all domains or over some.

Neighbours: the panel signs them in and turns them into an `Actor`; `acts.make_hashes` hashes their passwords too.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from mailstack.management import domains
from mailstack.management.actor import Actor, Refused, record, require_all_domains
from mailstack.management.acts import now_micros, taken_means
from mailstack.store.schema import administrator, domain, from_micros, panel_session, role

MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class AdministratorView:
    """An administrator; `domains` is empty for one of all domains."""

    id: int
    name: str
    all_domains: bool
    domains: tuple[str, ...]
    created_at: datetime
    hash: str
    """Of the password, argon2id; never shown."""

    def as_actor(self, source: str) -> Actor:
        """The actor that this administrator is, from a place."""
        return Actor(self.name, source, self.all_domains, frozenset(self.domains))


def add(
    connection: Connection, actor: Actor, name: str, password_hash: str, domain_names: tuple[str, ...] = ()
) -> AdministratorView:
    """Make an administrator, of these domains or, with none named, of all.

    Raises:
        Refused: a bad name, taken, or no such domain.
    """
    require_all_domains(actor, "administrators are added")
    key = _read_name(name)
    taken = f"{key} is an administrator already; change the password with `admin passwd`, or take another name"
    if connection.scalar(select(administrator.c.id).where(administrator.c.name == key)):
        raise Refused(taken)
    numbers = [domains.lock(connection, actor, one)[0] for one in dict.fromkeys(domain_names)]
    with taken_means(taken):
        values = {"name": key, "hash": password_hash, "all_domains": not numbers}
        done = connection.execute(insert(administrator).values(created_at=now_micros(), **values))
    number = done.inserted_primary_key[0]  # type: ignore[index]  # always given for a single row
    if numbers:
        connection.execute(insert(role), [{"administrator_id": number, "domain_id": one} for one in numbers])
    record(connection, actor, "admin.add", key, " ".join(domain_names) or "all domains")
    return get(connection, key)


def change_password(connection: Connection, actor: Actor, name: str, password_hash: str) -> None:
    """Give an administrator a new password and end their sessions: one of all domains anybody's, others their own."""
    view = get(connection, _read_name(name))
    if actor.name != view.name:
        require_all_domains(actor, "other administrators' passwords are set")
    connection.execute(update(administrator).where(administrator.c.id == view.id).values(hash=password_hash))
    connection.execute(delete(panel_session).where(panel_session.c.administrator_id == view.id))
    record(connection, actor, "admin.passwd", view.name)


def remove(connection: Connection, actor: Actor, name: str) -> None:
    """Remove an administrator; `Refused` when there is none of that name."""
    require_all_domains(actor, "administrators are removed")
    view = get(connection, _read_name(name))
    connection.execute(delete(administrator).where(administrator.c.id == view.id))
    record(connection, actor, "admin.remove", view.name)


def get(connection: Connection, name: str) -> AdministratorView:
    """One administrator; `Refused` when there is none of that name. No role is asked: signing in comes before it."""
    for view in _views(connection, name):
        return view
    raise Refused(f"{name} is not an administrator; see `admin list`")


def find(connection: Connection, actor: Actor) -> list[AdministratorView]:
    """All administrators by name."""
    require_all_domains(actor, "administrators are listed")
    return _views(connection)


def _views(connection: Connection, name: str | None = None) -> list[AdministratorView]:
    query = select(administrator).order_by(administrator.c.name)
    if name is not None:
        query = query.where(administrator.c.name == name)
    rows = connection.execute(query).all()
    granted: dict[int, list[str]] = {row.id: [] for row in rows}
    roles = select(role.c.administrator_id, domain.c.name).join(domain).order_by(domain.c.name)
    for row in connection.execute(roles):
        if row.administrator_id in granted:
            granted[row.administrator_id].append(row.name)
    return [
        AdministratorView(
            row.id, row.name, row.all_domains, tuple(granted[row.id]), from_micros(row.created_at), row.hash
        )
        for row in rows
    ]


def _read_name(name: str) -> str:
    if not name or len(name) > MAX_NAME or not name.isprintable() or " " in name:
        raise Refused(f'"{name}" is no name for an administrator; take up to {MAX_NAME} characters without spaces')
    return name
