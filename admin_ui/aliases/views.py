"""Aliases: list, add, change, remove."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin_ui.aliases.forms import NewAlias, Targets
from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import act, ask, done, refusals
from admin_ui.core.forms import confirm_page, is_confirmed
from admin_ui.core.paging import SIZE, page, wanted_addresses
from mailstack.management import aliases, removal
from mailstack.management.actor import Refused
from mailstack.management.removal import AliasRemoval

blueprint = Blueprint("aliases", __name__, url_prefix="/aliases")


@blueprint.get("/")
@open_to(Role.ADMINISTRATOR)
def index() -> ResponseReturnValue:
    """One's aliases."""
    wanted = wanted_addresses()
    search, domain = wanted.search, wanted.domain
    found = ask(aliases.find, domain_name=domain, search=search, after=wanted.after, limit=SIZE + 1)
    shown = page(found, lambda view: view.address.key)
    return render_template("aliases/list.html", page=shown, search=search, domain=domain)


@blueprint.route("/add", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def add() -> ResponseReturnValue:
    """Make one; an address that is one already is changed on its page."""
    form = NewAlias(address=request.args.get("address", ""))
    if form.validate_on_submit():
        with refusals(form.address):
            if _exists(form.address.data):
                raise Refused(f"{form.address.data} is an alias already; change its targets in the list of aliases")
            view = act(aliases.add, form.address.data, form.addresses())
            return done(f"{view.address.for_people} is an alias now.", url_for("aliases.index"))
    return render_template(
        "aliases/edit.html", form=form, title="Add an alias", button="Add", back=url_for("aliases.index")
    )


@blueprint.route("/<path:address>/change", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def change(address: str) -> ResponseReturnValue:
    """Set what it means."""
    view = ask(aliases.get, address)
    form = Targets(targets="\n".join(target.for_people for target in view.targets))
    if form.validate_on_submit():
        with refusals(form.targets):
            act(aliases.change, address, form.addresses())
            return done(f"{view.address.for_people} is changed.", url_for("aliases.index"))
    title = f"Change {view.address.for_people}"
    return render_template("aliases/edit.html", form=form, title=title, button="Change", back=url_for("aliases.index"))


@blueprint.route("/<path:address>/remove", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def remove(address: str) -> ResponseReturnValue:
    """Let it go."""
    told = ask(removal.preview_alias, address)
    name = told.address.for_people
    if is_confirmed():
        with refusals():
            act(aliases.remove, address)
            return done(f"{name} is no alias any more.", url_for("aliases.index"))
    return confirm_page(
        title=f"Remove {name}?", what=_consequences(told), button="Remove", back=url_for("aliases.index")
    )


def _consequences(told: AliasRemoval) -> list[str]:
    name = told.address.for_people
    if not told.address.local:
        return [f"Mail to addresses of {name[1:]} that nobody has is refused from then on."]
    targets = ", ".join(target.for_people for target in told.targets)
    if told.caught_by:
        to = ", ".join(target.for_people for target in told.caught_by)
        then = f"Mail to {name} is caught by the catch-all then, and goes to {to}."
    else:
        then = f"Mail to {name} is refused from then on."
    return [
        f"{name} no longer means {targets}. Their own mail stays as it is.",
        then,
        *(f"The alias {other} leads to it, and that target of it leads nowhere then." for other in told.aliases),
    ]


def _exists(address: str) -> bool:
    try:
        ask(aliases.get, address)
    except Refused:
        return False
    return True
