"""One's own sign-in: password, second steps, sessions. The password is asked for again before each change."""

from typing import Any

import segno
from flask import Blueprint, g, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import act, done, refusals
from admin_ui.core.forms import is_confirmed
from admin_ui.core.panel import panel
from admin_ui.security.forms import AddApp, AddPasskey, ChangePassword, PasswordAgain
from admin_ui.sign_in import steps
from mailstack.management import accounts, administrators, factors, passkeys, sessions
from mailstack.management.acts import make_hashes

blueprint = Blueprint("security", __name__, url_prefix="/security")


@blueprint.get("/")
@open_to(Role.PERSON)
def show() -> ResponseReturnValue:
    """What protects this person's sign-in."""
    find = panel().database.read_now
    return render_template(
        "security/show.html",
        factors=find(lambda connection: factors.find(connection, g.person)),
        codes_left=find(lambda connection: factors.recovery_codes_left(connection, g.person)),
        sessions=find(lambda connection: sessions.sessions_of(connection, g.person)),
        here_id=g.session_id,
    )


@blueprint.route("/password", methods=["GET", "POST"])
@open_to(Role.PERSON)
def password() -> ResponseReturnValue:
    """A new password; the other sessions end."""
    form = ChangePassword()
    if form.validate_on_submit() and _knows_password(form.present):
        with refusals(form.new):
            hashes = make_hashes(form.new.data)
            if g.person.is_administrator:
                act(administrators.change_password, g.person.name, hashes.hash)
            else:
                act(accounts.change_password, g.person.name, hashes)
            answer = done("Your password is changed; your other sessions have ended.", url_for("security.show"))
            reopened: ResponseReturnValue = steps.open_session(g.person, answer)
            return reopened
    return _form_page(form, "Change your password", "Change it")


@blueprint.route("/app", methods=["GET", "POST"])
@open_to(Role.PERSON)
def add_app() -> ResponseReturnValue:
    """An app for one-time codes."""
    form = AddApp()
    if form.validate_on_submit() and _knows_password(form.present):
        with refusals(form.code):
            act(factors.add_totp, g.person, form.secret.data, form.code.data, form.name.data)
            return _with_codes("The app is your second step from now on.")
    secret = form.secret.data or factors.new_secret()
    form.secret.data = secret
    form.code.data = ""
    uri = factors.secret_uri(secret, g.person.name, panel().config.hostname)
    picture = segno.make(uri, error="m").svg_data_uri(scale=5, border=2, light="#fff")
    return render_template("security/app.html", form=form, secret=secret, picture=picture)


@blueprint.route("/passkey", methods=["GET", "POST"])
@open_to(Role.PERSON)
def add_passkey() -> ResponseReturnValue:
    """A passkey; `passkey.js` asks the device between two posts."""
    form = AddPasskey()
    if form.validate_on_submit() and _knows_password(form.present):
        with refusals(form.name):
            challenge = session.pop("challenge", "")
            act(passkeys.add, g.person, steps.site(), challenge, form.answer.data, form.name.data)
            return _with_codes("The passkey is here; you can sign in with it alone.")
    return render_template("security/passkey.html", form=form)


@blueprint.post("/passkey/options")
@open_to(Role.PERSON)
def passkey_options() -> ResponseReturnValue:
    """What the browser needs to make a passkey."""
    options, session["challenge"] = panel().database.read_now(
        lambda connection: passkeys.registration_options(connection, g.person, steps.site())
    )
    return options


@blueprint.route("/factor/<int:number>/remove", methods=["GET", "POST"])
@open_to(Role.PERSON)
def remove(number: int) -> ResponseReturnValue:
    """Take a second step away."""
    form = PasswordAgain()
    if form.validate_on_submit() and _knows_password(form.present):
        with refusals(form.present):
            act(factors.remove, g.person, number)
            return done("It is removed.", url_for("security.show"))
    return _form_page(form, "Remove this second step?", "Remove", "Without any, your password alone lets you in.")


@blueprint.route("/codes", methods=["GET", "POST"])
@open_to(Role.PERSON)
def codes() -> ResponseReturnValue:
    """New recovery codes, shown once."""
    form = PasswordAgain()
    if form.validate_on_submit() and _knows_password(form.present):
        return render_template("security/codes.html", codes=act(factors.make_recovery_codes, g.person), message="")
    return _form_page(form, "Make new recovery codes?", "Make new ones", "The ones you have now become void.")


@blueprint.post("/session/<int:number>/end")
@open_to(Role.PERSON)
def end(number: int) -> ResponseReturnValue:
    """End one of one's sessions."""
    if is_confirmed():
        panel().database.write_now(lambda connection: sessions.end_session(connection, g.person, number))
    if number == g.session_id:
        return redirect(url_for("sign_in.password"), 303)
    return done("The session has ended.", url_for("security.show"))


@blueprint.post("/sessions/end")
@open_to(Role.PERSON)
def end_others() -> ResponseReturnValue:
    """End all sessions but this one."""
    if is_confirmed():
        panel().database.write_now(lambda connection: sessions.end_sessions(connection, g.person, but=g.session_id))
    return done("Your other sessions have ended.", url_for("security.show"))


def _knows_password(field: Any) -> bool:
    """Whether the password that was typed again is right; says so at the field if not."""
    outcome = steps.check_password(g.person.name, field.data)
    if isinstance(outcome, str):
        field.errors = ["That is not your password." if outcome == steps.WRONG else outcome]
        return False
    return bool(outcome == g.person)


def _with_codes(message: str) -> ResponseReturnValue:
    """On to the list, past the recovery codes when this was the first second step."""
    left = panel().database.read_now(lambda connection: factors.recovery_codes_left(connection, g.person))
    if left:
        return done(message, url_for("security.show"))
    return render_template("security/codes.html", codes=act(factors.make_recovery_codes, g.person), message=message)


def _form_page(form: Any, title: str, button: str, under: str = "") -> ResponseReturnValue:
    return render_template("security/edit.html", form=form, title=title, button=button, under=under)
