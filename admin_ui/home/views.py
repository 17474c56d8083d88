"""The first page of an administrator, and the door that leads everybody to theirs."""

from flask import Blueprint, current_app, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
@open_to(Role.PERSON)
def door() -> ResponseReturnValue:
    """To the first page of whoever is signed in."""
    if g.person.is_administrator:
        return redirect(url_for("home.show"))
    first = "me.show" if "me.show" in current_app.view_functions else "security.show"
    return redirect(url_for(first))


@blueprint.get("/home")
@open_to(Role.ADMINISTRATOR)
def show() -> ResponseReturnValue:
    """What needs attention, then pictures."""
    return render_template("home/show.html")
