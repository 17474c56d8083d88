"""What an account does by itself: pages for its owner and for administrators; each act asks whose account it is."""

from flask import Blueprint, g, render_template, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import act, ask, done, refusals
from admin_ui.core.forms import confirm_page, is_confirmed
from admin_ui.services.forms import Forwards, NewAppPassword, VacationReply
from mailstack.management import accounts, app_passwords, forwards, vacations

blueprint = Blueprint("services", __name__, url_prefix="/accounts/<path:address>")


@blueprint.route("/forwards", methods=["GET", "POST"])
@open_to(Role.PERSON)
def forward(address: str) -> ResponseReturnValue:
    """Send its mail on."""
    view = ask(forwards.get, address)
    form = Forwards(targets="\n".join(one.for_people for one in view.targets), keeps_copy=view.keeps_copy)
    if form.validate_on_submit():
        with refusals(form.targets):
            kept = act(forwards.change, address, form.addresses(), keeps_copy=form.keeps_copy.data)
            return done("Mail is sent on." if kept.targets else "Nothing is sent on.", _home(address))
    return render_template("services/forwards.html", form=form, address=address, back=_home(address))


@blueprint.route("/vacation", methods=["GET", "POST"])
@open_to(Role.PERSON)
def vacation(address: str) -> ResponseReturnValue:
    """Answer by itself."""
    kept = ask(vacations.get, address)
    form = VacationReply.of(kept)
    if form.validate_on_submit():
        with refusals(form.last_day):
            act(vacations.change, address, form.reply())
            return done("The vacation reply is set.", _home(address))
    return render_template("services/vacation.html", form=form, kept=kept, address=address, back=_home(address))


@blueprint.post("/vacation/end")
@open_to(Role.PERSON)
def end_vacation(address: str) -> ResponseReturnValue:
    """Answer no more."""
    if is_confirmed():
        with refusals():
            act(vacations.change, address, None)
            return done("The vacation reply is taken back.", _home(address))
    return done("Nothing was changed.", _home(address))


@blueprint.route("/app-passwords", methods=["GET", "POST"])
@open_to(Role.PERSON)
def app_password(address: str) -> ResponseReturnValue:
    """Its app passwords; a new one is shown on the page that answers, and never again."""
    form = NewAppPassword()
    made = name = ""
    if form.validate_on_submit():
        made = app_passwords.make_app_password()
        with refusals(form.name):
            act(app_passwords.add, address, form.name.data, made)
        made = "" if form.name.errors else made
        if made:
            name, form.name.data = form.name.data, ""
    view = ask(accounts.get, address)
    return render_template(
        "services/app_passwords.html",
        form=form,
        made=made,
        name=name,
        account=view,
        app_passwords=ask(app_passwords.find, address),
        back=_home(address),
    )


@blueprint.route("/app-passwords/<path:name>/revoke", methods=["GET", "POST"])
@open_to(Role.PERSON)
def revoke(address: str, name: str) -> ResponseReturnValue:
    """Make one void."""
    back = url_for("services.app_password", address=address)
    if is_confirmed():
        with refusals():
            act(app_passwords.revoke, address, name)
            return done(f"The app password “{name}” is void.", back)
        return done("Nothing was changed.", back)
    ask(app_passwords.find, address)
    return confirm_page(
        title=f"Revoke “{name}”?",
        what=["The device or program that uses it can neither fetch nor send any more.", "All others go on."],
        button="Revoke",
        back=back,
    )


def _home(address: str) -> str:
    """Where the person came from: the own page, or the account's."""
    return url_for("accounts.show", address=address) if g.person.is_administrator else url_for("me.show")
