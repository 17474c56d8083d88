"""An owner's own account: how it stands, and the password. What it does by itself is in `services`."""

from flask import Blueprint, g, render_template, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import actor, ask, done, refusals
from admin_ui.core.panel import panel
from admin_ui.me.forms import OwnPassword
from admin_ui.sign_in import steps
from mailstack.management import accounts, app_passwords, forwards, limits, own_password, vacations
from mailstack.management.own_password import WrongPassword

blueprint = Blueprint("me", __name__, url_prefix="/me")


@blueprint.get("/")
@open_to(Role.OWNER)
def show() -> ResponseReturnValue:
    """How it stands."""
    own = g.person.name
    return render_template(
        "me/show.html",
        account=ask(accounts.get, own),
        forwards=ask(forwards.get, own),
        vacation=ask(vacations.get, own),
        app_passwords=ask(app_passwords.find, own),
        limits=ask(limits.of_account, own),
    )


@blueprint.route("/password", methods=["GET", "POST"])
@open_to(Role.OWNER)
def password() -> ResponseReturnValue:
    """Another password."""
    form = OwnPassword()
    if form.validate_on_submit():
        with refusals(form.new):
            if wait := steps.wait_for(g.person.name):  # a borrowed browser is no place to guess the password either
                form.present.errors = [wait]
            elif _change_password(form):
                return done("You have a new password. Other browsers are signed out.", url_for("me.show"))
    return render_template("me/password.html", form=form)


def _change_password(form: OwnPassword) -> bool:
    """Change it; False, with the reason on the form, when the present one is wrong."""
    try:
        own_password.change(panel().database, actor(), form.present.data, form.new.data, g.session_id)
    except WrongPassword:
        panel().turnstile.note_failure(g.person.name, steps.source())
        form.present.errors = ["That is not your present password."]
        return False
    return True
