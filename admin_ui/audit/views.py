"""Who did what, when, from where."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from admin_ui.audit.forms import Filter
from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import ask
from admin_ui.core.paging import SIZE, after_number, page
from mailstack.management import audit
from mailstack.management.audit import EVERYTHING, Wanted

blueprint = Blueprint("audit", __name__, url_prefix="/audit")


@blueprint.get("/")
@open_to(Role.PERSON)
def index() -> ResponseReturnValue:
    """The latest deeds that this person may know of."""
    form = Filter(request.args)
    wanted = Wanted(form.who.data or "", form.what.data or "", form.about.data or "")
    rows = ask(audit.find, wanted, after=after_number(), limit=SIZE + 1)
    shown = page(rows, lambda one: one.id)
    return render_template("audit/list.html", form=form, is_filtered=wanted != EVERYTHING, page=shown)
