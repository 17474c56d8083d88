"""Administrators, by the API."""

from datetime import datetime

from msgspec import Struct, field

from admin_ui.api.operations import operation
from admin_ui.api.values import Body
from admin_ui.core.acts import act, ask
from mailstack.management import administrators
from mailstack.management.acts import make_hashes
from mailstack.management.administrators import AdministratorView


class Administrator(Struct):
    """Somebody who may run all domains, or some."""

    name: str
    all_domains: bool
    domains: list[str]
    created_at: datetime


class NewAdministrator(Body):
    """An administrator to make; without domains a superadministrator."""

    name: str
    password: str
    domains: list[str] = field(default_factory=list)


@operation("GET", "/administrators", "administrators:read", "All administrators")
def list_administrators() -> list[Administrator]:
    """By name; superadministrators only."""
    return [_told(view) for view in ask(administrators.find)]


@operation("POST", "/administrators", "administrators:write", "Make an administrator", status=201)
def add_administrator(body: NewAdministrator) -> Administrator:
    """Superadministrators only."""
    secret = make_hashes(body.password).hash
    return _told(act(administrators.add, body.name, secret, tuple(body.domains)))


@operation("DELETE", "/administrators/{name}", "administrators:write", "Remove an administrator", status=204)
def remove_administrator(name: str) -> None:
    """Signed out everywhere, and every token void."""
    act(administrators.remove, name)


def _told(view: AdministratorView) -> Administrator:
    return Administrator(view.name, view.all_domains, list(view.domains), view.created_at)
