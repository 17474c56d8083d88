"""Sending limits: each rule with a live bar, what is held and why, and the accounts that are frozen."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import act, actor, ask, done, refusals
from admin_ui.core.forms import confirm_page, is_confirmed
from admin_ui.core.paging import SIZE, page
from admin_ui.core.panel import panel
from admin_ui.limits.forms import Freeze, RuleForm
from mailstack.management import accounts, freezing, limits
from mailstack.management.actor import Refused
from mailstack.policy.limits import Per

blueprint = Blueprint("limits", __name__, url_prefix="/limits")


@blueprint.get("/")
@open_to(Role.ADMINISTRATOR)
def index() -> ResponseReturnValue:
    """The rules, by scope; what they hold; who is frozen."""
    search = request.args.get("search", "").strip()
    scope, _, window = request.args.get("after", "").rpartition(" ")
    after = (scope, Per(window)) if window in set(Per) else None
    found = ask(limits.find, search=search, after=after, limit=SIZE + 1)
    shown = page(found, lambda use: f"{use.rule.scope} {use.rule.per.value}")
    return render_template(
        "limits/list.html", page=shown, search=search, held=ask(limits.held), frozen=ask(freezing.find)
    )


@blueprint.route("/set", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def edit() -> ResponseReturnValue:
    """Set a rule, in place of the one there."""
    form = RuleForm()
    if form.validate_on_submit():
        with refusals(form.scope):
            rule = act(limits.set_rule, form.rule())
            return done(f"At most {rule}.", url_for(".index"))
    scope, per = request.args.get("scope", ""), request.args.get("per", "")
    if request.method == "GET" and scope:
        form.scope.data = scope
        for use in ask(limits.show, scope):
            if use.rule.per.value == per:
                form.fill(use.rule)
    return render_template("limits/edit.html", form=form, is_new=not per)


@blueprint.route("/clear", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def clear() -> ResponseReturnValue:
    """Remove a rule."""
    scope, per = request.args.get("scope", ""), request.args.get("per", "")
    uses = [use for use in ask(limits.show, scope) if use.rule.per.value == per]
    if not uses:
        raise Refused(f"{scope} has no limit per {per or 'anything'}")
    if is_confirmed():
        with refusals():
            act(limits.clear, scope, Per(per))
            return done(f"The limit per {per} of {scope} is gone.", url_for(".index"))
    return confirm_page(
        title=f"Remove this limit of {scope}?",
        what=[f"No longer: at most {uses[0].rule}.", "What it holds leaves as far as other limits allow."],
        button="Remove the limit",
        back=url_for(".index"),
    )


@blueprint.get("/of/<path:address>")
@open_to(Role.ADMINISTRATOR)
def show(address: str) -> ResponseReturnValue:
    """All rules that apply to an account, and what is held for it."""
    return render_template(
        "limits/show.html",
        address=address,
        frozen_why=ask(accounts.get, address).frozen_why,
        uses=ask(limits.of_account, address),
        held=ask(limits.held, address=address),
    )


@blueprint.route("/of/<path:address>/freeze", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def freeze(address: str) -> ResponseReturnValue:
    """Hold all that an account sends."""
    form = Freeze()
    back = url_for(".show", address=address)
    if form.validate_on_submit():
        with refusals(form.why):
            act(freezing.freeze, address, form.why.data)
            return done(f"What {address} sends is held from now on; it receives as before.", back)
    return render_template("limits/freeze.html", form=form, address=address, back=back)


@blueprint.post("/of/<path:address>/unfreeze")
@open_to(Role.ADMINISTRATOR)
def unfreeze(address: str) -> ResponseReturnValue:
    """Let an account send again."""
    with refusals():
        act(freezing.unfreeze, address)
        panel().wake_queue()
        return done(
            f"{address} sends again; what was held leaves as its limits allow.", url_for(".show", address=address)
        )
    return show(address)


@blueprint.route("/of/<path:address>/drop", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def drop(address: str) -> ResponseReturnValue:
    """End all that is held for an account."""
    back = url_for(".show", address=address)
    if is_confirmed():
        with refusals():
            number = freezing.drop_held(panel().database, actor(), address, panel().contents)
            return done(f"{number:,} held {'delivery' if number == 1 else 'deliveries'} dropped.", back)
    number = sum(one.deliveries for one in ask(limits.held, address=address))
    return confirm_page(
        title=f"Drop what is held for {address}?",
        what=[f"{number:,} deliveries end as failed, and nobody is told.", "This cannot be undone."],
        button="Drop them",
        back=back,
    )
