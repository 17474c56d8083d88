"""Signing in and out."""

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import COOKIE, Role, open_to
from admin_ui.core.panel import panel
from admin_ui.sign_in.forms import SignIn
from mailstack.management import sessions, sign_in
from mailstack.management.sign_in import Person

blueprint = Blueprint("sign_in", __name__)


@blueprint.route("/sign-in", methods=["GET", "POST"])
@open_to(Role.EVERYBODY)
def password() -> ResponseReturnValue:
    """Ask for name and password."""
    form = SignIn()
    if form.validate_on_submit():
        found = panel().database.read_now(lambda connection: sign_in.find_person(connection, form.name.data))
        if sign_in.password_matches(found[1] if found else None, form.password.data) and found:
            return _enter(found[0])
        form.password.errors = ["That name and password do not belong together."]
    return render_template("sign_in/password.html", form=form)


@blueprint.post("/sign-out")
@open_to(Role.PERSON)
def out() -> ResponseReturnValue:
    """End this session."""
    panel().database.write_now(lambda connection: sessions.end_session(connection, g.person, g.session_id))
    answer = redirect(url_for("sign_in.password"), 303)
    answer.delete_cookie(COOKIE)
    return answer


@blueprint.get("/security")
@open_to(Role.PERSON)
def security() -> ResponseReturnValue:
    """One's own sessions."""
    mine = panel().database.read_now(lambda connection: sessions.sessions_of(connection, g.person))
    return render_template("sign_in/security.html", sessions=mine)


def _enter(person: Person) -> ResponseReturnValue:
    agent, source = request.headers.get("User-Agent", ""), request.remote_addr or "unknown"
    token = panel().database.write_now(lambda connection: sessions.open_session(connection, person, source, agent))
    answer = redirect(_next_page(), 303)
    answer.set_cookie(COOKIE, token, httponly=True, samesite="Lax", secure=request.is_secure)
    return answer


def _next_page() -> str:
    """Where the person wanted to go: a page of ours, or the first one."""
    wanted = request.args.get("next", "")
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_ours else url_for("home.door")
