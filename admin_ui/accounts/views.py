"""Accounts: list, add, import, change, suspend, remove. What an account does by itself is in `services`."""

from flask import Blueprint, render_template, request, stream_template, url_for
from flask.typing import ResponseReturnValue

from admin_ui.accounts.forms import Import, NewAccount, NewPassword, Quota, quota_of
from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import act, actor, ask, done, refusals
from admin_ui.core.forms import confirm_page, is_confirmed
from admin_ui.core.paging import SIZE, page, wanted_addresses
from admin_ui.core.panel import panel
from admin_ui.core.words import counted, size
from mailstack.config_values import write_size
from mailstack.management import (
    account_import,
    accounts,
    app_passwords,
    forwards,
    limits,
    removal,
    vacations,
)
from mailstack.management.actor import Refused
from mailstack.management.acts import make_hashes

blueprint = Blueprint("accounts", __name__, url_prefix="/accounts")


@blueprint.get("/")
@open_to(Role.ADMINISTRATOR)
def index() -> ResponseReturnValue:
    """One's accounts."""
    wanted = wanted_addresses()
    search, domain = wanted.search, wanted.domain
    found = ask(accounts.find, domain_name=domain, search=search, after=wanted.after, limit=SIZE + 1)
    shown = page(found, lambda view: view.address.key)
    total = ask(accounts.count, domain_name=domain, search=search)
    return render_template("accounts/list.html", page=shown, search=search, domain=domain, total=total)


@blueprint.route("/add", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def add() -> ResponseReturnValue:
    """Make one."""
    domain = request.args.get("domain", "")
    form = NewAccount()
    if form.validate_on_submit():
        made = "" if form.password.data else app_passwords.make_app_password()
        with refusals(form.address):
            view = act(accounts.add, form.address.data, make_hashes(form.password.data or made), quota_of(form.quota))
            here = url_for("accounts.show", address=view.address.key)
            if made:
                return render_template("accounts/password.html", address=view.address.for_people, made=made, back=here)
            return done(f"{view.address.for_people} is an account now.", here)
    return render_template(
        "accounts/edit.html",
        form=form,
        title="Add an account",
        under=f"In {domain}" if domain else "",
        button="Add",
        back=url_for("accounts.index", domain=domain or None),
    )


@blueprint.get("/<path:address>")
@open_to(Role.ADMINISTRATOR)
def show(address: str) -> ResponseReturnValue:
    """One account, and what it does by itself."""
    view = ask(accounts.get, address)
    return render_template(
        "accounts/show.html",
        account=view,
        forwards=ask(forwards.get, address),
        vacation=ask(vacations.get, address),
        app_passwords=ask(app_passwords.find, address),
        limits=ask(limits.of_account, address),
    )


@blueprint.route("/<path:address>/password", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def password(address: str) -> ResponseReturnValue:
    """Give it another password."""
    view = ask(accounts.get, address)
    form, here = NewPassword(), url_for("accounts.show", address=view.address.key)
    if form.validate_on_submit():
        made = "" if form.password.data else app_passwords.make_app_password()
        with refusals(form.password):
            act(accounts.change_password, address, make_hashes(form.password.data or made))
            if made:
                return render_template("accounts/password.html", address=view.address.for_people, made=made, back=here)
            return done(f"{view.address.for_people} has a new password.", here)
    return _edit(form, f"New password for {view.address.for_people}", here)


@blueprint.route("/<path:address>/quota", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def quota(address: str) -> ResponseReturnValue:
    """Bound its mailbox, or unbound it."""
    view = ask(accounts.get, address)
    here = url_for("accounts.show", address=view.address.key)
    form = Quota(quota="" if view.quota_octets is None else write_size(view.quota_octets))
    if form.validate_on_submit():
        with refusals(form.quota):
            act(accounts.set_quota, address, quota_of(form.quota))
            return done(f"{view.address.for_people} has a new quota.", here)
    return _edit(form, f"Quota of {view.address.for_people}", here)


@blueprint.route("/<path:address>/suspend", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def suspend(address: str) -> ResponseReturnValue:
    """Take log-in and sending from it."""
    view = ask(accounts.get, address)
    here, name = url_for("accounts.show", address=view.address.key), view.address.for_people
    if is_confirmed():
        with refusals():
            act(accounts.set_state, address, "suspended")
            return done(f"{name} is suspended.", here)
    return confirm_page(
        title=f"Suspend {name}?",
        what=[
            f"{name} can neither fetch nor send mail, nor sign in here.",
            "Mail to it is still taken and kept. Forwards and the vacation reply rest.",
            "You can resume it at any time.",
        ],
        button="Suspend",
        back=here,
        is_danger=False,
    )


@blueprint.post("/<path:address>/resume")
@open_to(Role.ADMINISTRATOR)
def resume(address: str) -> ResponseReturnValue:
    """Undo `suspend`."""
    if is_confirmed():
        with refusals():
            act(accounts.set_state, address, "active")
            return done(f"{address} is active again.", url_for("accounts.show", address=address))
    return done("Nothing was changed.", url_for("accounts.show", address=address))


@blueprint.route("/<path:address>/remove", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def remove(address: str) -> ResponseReturnValue:
    """Let it go with all its mail."""
    told = ask(removal.preview, address)
    if is_confirmed():
        with refusals():
            removal.remove(panel().database, actor(), address, panel().contents)
            return done(f"{told.address} is gone.", url_for("accounts.index"))
    what = [
        f"It deletes {counted(told.messages, 'message')} ({size(told.octets)}). This cannot be undone.",
        f"Mail to {told.address} is refused from then on, unless the domain has a catch-all.",
        *(f"The alias {name} loses this target and keeps the others." for name in told.aliases_kept),
        *(f"The alias {name} goes too: it has no other target." for name in told.aliases_removed),
        *(f"{name} forwards to it and will no longer." for name in told.forwards),
    ]
    back = url_for("accounts.show", address=told.address)
    return confirm_page(title=f"Remove {told.address}?", what=what, button="Remove", back=back)


@blueprint.route("/import", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def import_() -> ResponseReturnValue:
    """Make many from a list: tried first, then done with a result for each line as it comes."""
    form = Import()
    tried = None
    if form.validate_on_submit():
        with refusals(form.file if form.file.data else form.text):
            text = _text_of(form)
            wishes = account_import.read_wishes(text)
            if request.form.get("step") == "run":
                results = account_import.carry_out(panel().database, actor(), wishes)
                return stream_template("accounts/imported.html", results=results)
            tried = ask(account_import.try_out, wishes)
            form.text.data = text
    return render_template("accounts/import.html", form=form, tried=tried)


def _text_of(form: Import) -> str:
    try:
        return form.read()
    except UnicodeDecodeError:
        raise Refused("the file is not in UTF-8; save it as CSV in UTF-8, then choose it again") from None


def _edit(form: NewPassword | Quota, title: str, back: str) -> str:
    return render_template("accounts/edit.html", form=form, title=title, button="Set", back=back)
