"""Everybody's own tokens: a program that holds one acts as its owner, within its scopes."""

from flask import Blueprint, g, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import act, done, refusals
from admin_ui.core.forms import confirm_page, is_confirmed
from admin_ui.core.panel import panel
from admin_ui.tokens.forms import NewToken
from mailstack.management import tokens

blueprint = Blueprint("tokens", __name__, url_prefix="/tokens")


@blueprint.get("/")
@open_to(Role.PERSON)
def index() -> ResponseReturnValue:
    """All of mine."""
    found = panel().database.read_now(lambda connection: tokens.find(connection, g.person))
    return render_template("tokens/list.html", tokens=found)


@blueprint.route("/add", methods=["GET", "POST"])
@open_to(Role.PERSON)
def add() -> ResponseReturnValue:
    """Make one; it is shown once, on the page that answers."""
    form = NewToken()
    if form.validate_on_submit():
        with refusals(form.name):
            days = int(form.days.data) if form.days.data else None
            token = act(tokens.create, g.person, form.name.data, tuple(form.scopes.data), days)
            return render_template("tokens/show.html", token=token, name=form.name.data, base=request.url_root)
    return render_template("tokens/edit.html", form=form)


@blueprint.route("/<int:number>/revoke", methods=["GET", "POST"])
@open_to(Role.PERSON)
def revoke(number: int) -> ResponseReturnValue:
    """End one."""
    if is_confirmed():
        with refusals():
            act(tokens.revoke, g.person, number)
            return done("The token is void now.", url_for(".index"))
    return confirm_page(
        title="Revoke this token?",
        what=["The program that uses it is refused from now on.", "What it has done stays."],
        button="Revoke",
        back=url_for(".index"),
    )


@blueprint.get("/examples")
@open_to(Role.PERSON)
def examples() -> ResponseReturnValue:
    """How a program calls."""
    return render_template("tokens/examples.html", base=request.url_root)
