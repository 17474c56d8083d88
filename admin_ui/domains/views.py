"""Domains: list, add, change, remove."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import act, actor, ask, done, refusals
from admin_ui.core.forms import confirm_page, is_confirmed
from admin_ui.core.paging import SIZE, page
from admin_ui.core.panel import panel
from admin_ui.domains.forms import NewDomain, Removal, Terms
from mailstack.management import aliases, domains, removal
from mailstack.management.actor import Refused
from mailstack.management.aliases import AliasView

blueprint = Blueprint("domains", __name__, url_prefix="/domains")


@blueprint.get("/")
@open_to(Role.ADMINISTRATOR)
def index() -> ResponseReturnValue:
    """One's domains."""
    search, after = request.args.get("search", "").strip(), request.args.get("after", "")
    found = ask(domains.find, search=search, after=after, limit=SIZE + 1)
    return render_template("domains/list.html", page=page(found, lambda view: view.name), search=search)


@blueprint.get("/<name>")
@open_to(Role.ADMINISTRATOR)
def show(name: str) -> ResponseReturnValue:
    """One domain."""
    view = ask(domains.get, name)
    return render_template("domains/show.html", domain=view, catch_all=_catch_all(view.name))


@blueprint.route("/add", methods=["GET", "POST"])
@open_to(Role.SUPERADMINISTRATOR)
def add() -> ResponseReturnValue:
    """Take one in."""
    form = NewDomain()
    if form.validate_on_submit():
        with refusals(form.next_hop if form.kind.data == "relay" and not form.next_hop.data else form.name):
            view = act(domains.add, form.name.data, form.terms())
            return done(f"Mail to {view.for_people} is taken from now on.", url_for("domains.show", name=view.name))
    return render_template(
        "domains/edit.html", form=form, title="Add a domain", button="Add", back=url_for("domains.index")
    )


@blueprint.route("/<name>/change", methods=["GET", "POST"])
@open_to(Role.SUPERADMINISTRATOR)
def change(name: str) -> ResponseReturnValue:
    """Set its terms."""
    view = ask(domains.get, name)
    form = Terms(obj=view)
    here = url_for("domains.show", name=view.name)
    if form.validate_on_submit():
        with refusals(form.next_hop if form.next_hop.data or form.kind.data == "relay" else form.kind):
            act(domains.change, view.name, form.terms())
            return done(f"{view.for_people} is changed.", here)
    return render_template(
        "domains/edit.html", form=form, title=f"Change {view.for_people}", button="Change", back=here
    )


@blueprint.route("/<name>/remove", methods=["GET", "POST"])
@open_to(Role.SUPERADMINISTRATOR)
def remove(name: str) -> ResponseReturnValue:
    """Let it go: with its accounts only when its name is typed."""
    told = ask(removal.preview_domain, name)
    view = ask(domains.get, told.name)
    if not (told.accounts or told.aliases):
        if is_confirmed():
            with refusals():
                act(domains.remove, view.name)
                return done(f"{view.for_people} is gone.", url_for("domains.index"))
        return confirm_page(
            title=f"Remove {view.for_people}?",
            what=[f"Mail to {view.for_people} is refused from then on.", "It has no accounts and no aliases."],
            button="Remove",
            back=url_for("domains.show", name=view.name),
        )
    form = Removal()
    if form.validate_on_submit() and form.names(view):
        with refusals(form.name):
            removal.remove_domain(panel().database, actor(), view.name, panel().contents)
            return done(f"{view.for_people} is gone, with all that was in it.", url_for("domains.index"))
    return render_template("domains/remove.html", form=form, domain=view, told=told)


def _catch_all(name: str) -> AliasView | None:
    try:
        return ask(aliases.get, f"@{name}")
    except Refused:
        return None
