"""Domains, by the API."""

from dataclasses import replace
from datetime import datetime
from typing import Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from admin_ui.api.operations import operation
from admin_ui.api.values import Body, Items, Paging
from admin_ui.core.acts import act, ask
from mailstack.management import domains
from mailstack.management.actor import Actor
from mailstack.management.domains import DomainTerms, DomainView
from mailstack.store.database import Connection

Kind = Literal["local", "relay"]


class Domain(Struct):
    """A domain of this host."""

    name: str
    kind: Kind
    next_hop: str | None
    expire_days: int | None
    login_delay_seconds: int | None
    accounts: int
    aliases: int
    created_at: datetime


class NewDomain(Body):
    """A domain to add; `relay` domains need a `next_hop`, `HOST` or `HOST:PORT`."""

    name: str
    kind: Kind = "local"
    next_hop: str | None = None
    expire_days: int | None = None
    login_delay_seconds: int | None = None


class DomainChange(Body):
    """What to set; what is left out stays."""

    kind: Kind | UnsetType = UNSET
    next_hop: str | UnsetType | None = UNSET
    expire_days: int | UnsetType | None = UNSET
    login_delay_seconds: int | UnsetType | None = UNSET


@operation("GET", "/domains", "domains:read", "The domains you run")
def list_domains(query: Paging) -> Items[Domain]:
    """By name."""
    found = ask(domains.find, search=query.search, after=query.after, limit=query.limit + 1)
    shown = found[: query.limit]
    return Items([_told(view) for view in shown], shown[-1].name if len(found) > query.limit else None)


@operation("POST", "/domains", "domains:write", "Add a domain", status=201)
def add_domain(body: NewDomain) -> Domain:
    """Superadministrators only."""
    terms = DomainTerms(body.kind, body.next_hop, body.expire_days, body.login_delay_seconds)
    return _told(act(domains.add, body.name, terms))


@operation("GET", "/domains/{name}", "domains:read", "One domain")
def get_domain(name: str) -> Domain:
    """By its name."""
    return _told(ask(domains.get, name))


@operation("PATCH", "/domains/{name}", "domains:write", "Change a domain")
def change_domain(name: str, body: DomainChange) -> Domain:
    """Only what is given."""
    return _told(act(_change, name, body))


@operation("DELETE", "/domains/{name}", "domains:write", "Remove a domain", status=204)
def remove_domain(name: str) -> None:
    """It must have no accounts and aliases any more."""
    act(domains.remove, name)


def _change(connection: Connection, actor: Actor, name: str, body: DomainChange) -> DomainView:
    view = domains.get(connection, actor, name)
    terms = DomainTerms(view.kind, view.next_hop, view.expire_days, view.login_delay_seconds)
    given = {key: value for key, value in asdict(body).items() if value is not UNSET}
    return domains.change(connection, actor, name, replace(terms, **given))


def _told(view: DomainView) -> Domain:
    return Domain(
        view.name,
        "relay" if view.kind == "relay" else "local",
        view.next_hop,
        view.expire_days,
        view.login_delay_seconds,
        view.accounts,
        view.aliases,
        view.created_at,
    )
