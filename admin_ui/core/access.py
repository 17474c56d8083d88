"""Who may open which page: each view names its role, and every request is checked before the view runs.

A role only opens the page; what the person may do there, each act of `management/` checks by itself. Neighbours:
`sign_in` opens sessions; `management/sessions` finds the person of a cookie.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, TypeVar

from flask import Flask, abort, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.panel import panel
from mailstack.management import sessions
from mailstack.management.sign_in import Person

COOKIE = "mailstack_session"
View = TypeVar("View", bound=Callable[..., Any])


class Role(Enum):
    """Whom a view is for."""

    EVERYBODY = auto()
    """No sign-in: the few public pages."""
    PROGRAM = auto()
    """Whoever holds a token; the API looks at it by itself, and at no cookie."""
    PERSON = auto()
    """Whoever has signed in."""
    OWNER = auto()
    """The owner of an account, on his own account."""
    ADMINISTRATOR = auto()
    """Administrators of either kind."""
    SUPERADMINISTRATOR = auto()


def open_to(role: Role) -> Callable[[View], View]:
    """Mark a view with the role it is for; below `@blueprint.get(…)`."""

    def mark(view: View) -> View:
        view.role = role  # type: ignore[attr-defined]
        return view

    return mark


def has_role(person: Person, role: Role) -> bool:
    """Whether a person who signed in may open what is for a role."""
    if role is Role.OWNER:
        return person.account_id is not None
    if role is Role.ADMINISTRATOR:
        return person.is_administrator
    if role is Role.SUPERADMINISTRATOR:
        return person.all_domains
    return True


def role_of(app: Flask, endpoint: str) -> Role:
    """The role that a view is marked with; style sheets and the like are everybody's.

    Raises:
        TypeError: the view names none.
    """
    if is_static(endpoint):
        return Role.EVERYBODY
    role: Role | None = getattr(app.view_functions[endpoint], "role", None)
    if role is None:
        raise TypeError(f"the view {endpoint} names no role; mark it with @open_to")
    return role


def is_static(endpoint: str | None) -> bool:
    """Whether an endpoint only hands out files."""
    return endpoint is not None and endpoint.rpartition(".")[2] == "static"


def is_for_programs() -> bool:
    """Whether this request is for the API, whose refusals are JSON; also where it has no such operation."""
    return request.path.startswith("/api/")


def guard(app: Flask) -> None:
    """Check each request of an application; refuse to start when a view is for nobody in particular."""
    for endpoint in app.view_functions:
        role_of(app, endpoint)
    app.before_request(_check)


def _check() -> ResponseReturnValue | None:
    endpoint = request.endpoint
    if is_for_programs() or is_static(endpoint):
        return None
    if endpoint is None:
        return None if _find_person() else redirect(url_for("sign_in.password"))
    role = role_of(current_app, endpoint)
    person = _find_person()
    if role is Role.EVERYBODY:
        return None
    if person is None:
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("sign_in.password", next=wanted))
    if not has_role(person, role):
        abort(403)
    return None


def _find_person() -> Person | None:
    """The person of the session cookie, put where the request's code finds it."""
    g.person = g.session_id = None
    found = panel().database.read_now(
        lambda connection: sessions.find_session(connection, request.cookies.get(COOKIE, ""))
    )
    if found is None:
        return None
    g.session_id, g.person, is_stale = found
    g.actor = g.person.actor(request.remote_addr or "unknown")
    if is_stale and "X-Refresh" not in request.headers:  # a page that refreshes itself is nobody at work
        panel().database.write_now(lambda connection: sessions.note_seen(connection, g.session_id))
    person: Person = g.person
    return person
