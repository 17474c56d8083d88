"""Administrators: who may run the host, all of it or some domains."""

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from admin_ui.administrators.forms import NewAdministrator, NewPassword
from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import act, ask, done, refusals
from admin_ui.core.forms import confirm_page, is_confirmed
from mailstack.management import administrators, factors
from mailstack.management.acts import make_hashes

blueprint = Blueprint("administrators", __name__, url_prefix="/administrators")


@blueprint.get("/")
@open_to(Role.SUPERADMINISTRATOR)
def index() -> ResponseReturnValue:
    """All of them."""
    return render_template("administrators/list.html", administrators=ask(administrators.find))


@blueprint.route("/add", methods=["GET", "POST"])
@open_to(Role.SUPERADMINISTRATOR)
def add() -> ResponseReturnValue:
    """Make one."""
    form = NewAdministrator()
    if form.validate_on_submit():
        with refusals(form.name):
            hashes = make_hashes(form.password.data)
            view = act(administrators.add, form.name.data, hashes.hash, tuple(form.domains.data.split()))
            return done(f"{view.name} is an administrator now.", url_for("administrators.index"))
    return render_template("administrators/edit.html", form=form, title="Add an administrator", button="Add")


@blueprint.route("/<name>/password", methods=["GET", "POST"])
@open_to(Role.SUPERADMINISTRATOR)
def password(name: str) -> ResponseReturnValue:
    """Give one a new password."""
    form = NewPassword()
    if form.validate_on_submit():
        with refusals(form.password):
            act(administrators.change_password, name, make_hashes(form.password.data).hash)
            return done(f"{name} has a new password.", url_for("administrators.index"))
    return render_template("administrators/edit.html", form=form, title=f"New password for {name}", button="Set")


@blueprint.route("/<name>/unlock", methods=["GET", "POST"])
@open_to(Role.SUPERADMINISTRATOR)
def unlock(name: str) -> ResponseReturnValue:
    """Take the second steps from one who lost them."""
    if is_confirmed():
        with refusals():
            act(factors.reset, name)
            return done(f"{name} signs in with the password alone.", url_for("administrators.index"))
    return confirm_page(
        title=f"Take the second steps from {name}?",
        what=[
            "Apps, passkeys and recovery codes are gone; the password alone lets them in.",
            f"{name} is signed out everywhere.",
        ],
        button="Take them away",
        back=url_for("administrators.index"),
    )


@blueprint.route("/<name>/remove", methods=["GET", "POST"])
@open_to(Role.SUPERADMINISTRATOR)
def remove(name: str) -> ResponseReturnValue:
    """Remove one."""
    if is_confirmed():
        with refusals():
            act(administrators.remove, name)
            return done(f"{name} is no administrator any more.", url_for("administrators.index"))
    return confirm_page(
        title=f"Remove the administrator {name}?",
        what=[f"{name} is signed out everywhere and cannot sign in again.", "Domains, accounts and mail stay."],
        button="Remove",
        back=url_for("administrators.index"),
    )
