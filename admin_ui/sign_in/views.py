"""Signing in by password, code or passkey, signing out, and the set-up of the first administrator."""

from flask import Blueprint, abort, g, jsonify, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import COOKIE, Role, open_to
from admin_ui.core.acts import refusals
from admin_ui.core.panel import panel
from admin_ui.sign_in import steps
from admin_ui.sign_in.forms import Code, SetUp, SignIn
from mailstack.management import factors, passkeys, sessions, set_up, sign_in
from mailstack.management.acts import make_hashes

blueprint = Blueprint("sign_in", __name__)


@blueprint.route("/sign-in", methods=["GET", "POST"])
@open_to(Role.EVERYBODY)
def password() -> ResponseReturnValue:
    """Ask for name and password."""
    form = SignIn()
    if form.validate_on_submit():
        person = steps.check_password(form.name.data, form.password.data)
        if isinstance(person, str):
            form.password.errors = [person]
        elif panel().database.read_now(lambda connection: factors.has_factor(connection, person)):
            steps.remember_half_way(person)
            return redirect(url_for("sign_in.code", next=request.args.get("next")), 303)
        else:
            return steps.enter(person)
    elif g.person and request.method == "GET":
        return redirect(steps.next_page())
    needs_set_up = not panel().database.read_now(set_up.has_administrator)
    return render_template("sign_in/password.html", form=form, needs_set_up=needs_set_up)


@blueprint.route("/sign-in/code", methods=["GET", "POST"])
@open_to(Role.EVERYBODY)
def code() -> ResponseReturnValue:
    """Ask for the second step."""
    person = steps.half_way()
    if person is None:
        return redirect(url_for("sign_in.password", next=request.args.get("next")))
    form = Code()
    if form.validate_on_submit():
        wait = steps.wait_for(person.name)
        if wait:
            form.code.errors = [wait]
        elif panel().database.write_now(
            lambda connection: factors.prove(connection, person, steps.source(), form.code.data)
        ):
            return steps.enter(person)
        else:
            panel().turnstile.note_failure(person.name, steps.source())
            form.code.errors = ["That code is not right. Codes of an app change every 30 seconds and are good once."]
    mine = panel().database.read_now(lambda connection: factors.find(connection, person))
    return render_template("sign_in/code.html", form=form, kinds={one.kind for one in mine})


@blueprint.post("/sign-in/passkey/options")
@open_to(Role.EVERYBODY)
def passkey_options() -> ResponseReturnValue:
    """What the browser needs to look for a passkey of this panel."""
    options, session["challenge"] = passkeys.sign_in_options(steps.site())
    return options


@blueprint.post("/sign-in/passkey")
@open_to(Role.EVERYBODY)
def passkey() -> ResponseReturnValue:
    """Take a passkey's answer; tells where to go."""
    challenge, answer = session.pop("challenge", ""), request.get_json(silent=True)
    nobody = f"a passkey from {steps.source()}"  # who fails here slows nobody else down
    if not challenge or not isinstance(answer, dict) or steps.wait_for(nobody):
        abort(400)
    person = panel().database.write_now(lambda connection: passkeys.prove(connection, steps.site(), challenge, answer))
    if person is None:
        panel().turnstile.note_failure(nobody, steps.source())
        return {"refused": "This passkey is not known here. Sign in with name and password."}
    told: ResponseReturnValue = steps.open_session(person, jsonify(next=steps.next_page()))
    return told


@blueprint.post("/sign-out")
@open_to(Role.PERSON)
def out() -> ResponseReturnValue:
    """End this session."""
    panel().database.write_now(lambda connection: sessions.end_session(connection, g.person, g.session_id))
    session.clear()
    answer = redirect(url_for("sign_in.password"), 303)
    answer.delete_cookie(COOKIE)
    return answer


@blueprint.route("/setup", methods=["GET", "POST"])
@open_to(Role.EVERYBODY)
def first() -> ResponseReturnValue:
    """Make the first administrator, with the token that `serve` printed."""
    token = request.args.get("token", "")
    if not panel().database.read_now(lambda connection: set_up.is_setup_token(connection, token)):
        return render_template("sign_in/void.html"), 410
    form = SetUp()
    if form.validate_on_submit():
        with refusals(form.name):
            hashes = make_hashes(form.password.data)
            panel().database.write_now(
                lambda connection: set_up.make_first_administrator(
                    connection, token, form.name.data, hashes.hash, steps.source()
                )
            )
            found = panel().database.read_now(lambda connection: sign_in.find_person(connection, form.name.data))
            if found:
                return steps.enter(found[0])
    return render_template("sign_in/first.html", form=form)
