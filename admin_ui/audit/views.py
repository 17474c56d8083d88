"""Who did what, when, from where."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to

blueprint = Blueprint("audit", __name__, url_prefix="/audit")


@blueprint.get("/")
@open_to(Role.PERSON)
def index() -> ResponseReturnValue:
    """The latest deeds."""
    return render_template("audit/list.html")
