"""The queue: each delivery that waits or is held, the other side's last words, and what can be done.

What concerns rows that somebody picked is done at once; what concerns all that a filter selects, and what cannot be
undone, is said first on a page of its own.
"""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import actor, ask, done, refusals
from admin_ui.core.forms import confirm_page, is_confirmed
from admin_ui.core.paging import SIZE, after_number, page
from admin_ui.core.panel import panel
from admin_ui.queue.forms import kept_filter, read_filter, selection_of
from mailstack.management import queue
from mailstack.management.queue import Act, Selection
from mailstack.policy.explain import explain_text

blueprint = Blueprint("queue", __name__, url_prefix="/queue")

DONE = {
    Act.RETRY: "will be tried at once",
    Act.HOLD: "held until somebody releases them",
    Act.RELEASE: "released",
    Act.DROP: "dropped",
}
WARNINGS = {
    Act.RETRY: "Each is tried now, also where the destination rests after failures.",
    Act.HOLD: "They stay here and are not tried until somebody releases them.",
    Act.RELEASE: "They are tried now, whatever held them: also what a sending limit held.",
    Act.DROP: "They end as failed, and their senders are not told. This cannot be undone.",
}


@blueprint.get("/")
@open_to(Role.ADMINISTRATOR)
def index() -> ResponseReturnValue:
    """What is open, a page at a time."""
    form = read_filter()
    selection = selection_of(form)
    rows = ask(queue.find, selection, after=after_number() or 0, limit=SIZE + 1)
    found = page(rows, lambda row: row["number"])
    for row in found.rows:
        row["explained"] = explain_text(row["last_reply"])
    return render_template(
        "queue/list.html", form=form, page=found, counts=ask(queue.count), filtered=kept_filter(), acts=list(Act)
    )


@blueprint.get("/destinations")
@open_to(Role.ADMINISTRATOR)
def destinations() -> ResponseReturnValue:
    """Where most waits, and how the queue deals with each destination now."""
    backlogs = ask(queue.backlogs)
    states = {one.domain: panel().destination_state(one.domain) for one in backlogs}
    explained = {one.domain: explain_text(one.last_reply) for one in backlogs}
    return render_template("queue/destinations.html", backlogs=backlogs, states=states, explained=explained)


@blueprint.post("/picked")
@open_to(Role.ADMINISTRATOR)
def picked() -> ResponseReturnValue:
    """Do one thing with the rows somebody picked."""
    numbers = request.form.getlist("number", int)
    what = _act_named(request.form.get("act", ""))
    back = url_for(".index", **kept_filter())
    if what is None or not numbers:
        flash("Pick one or more lines first, then say what to do with them.", "error")
        return redirect(back, 303)
    if what is Act.DROP:
        return redirect(url_for(".selected", what=what.value, number=numbers, **kept_filter()), 303)
    with refusals():
        return done(_do(what, Selection(numbers=tuple(numbers))), back)
    return redirect(back, 303)


@blueprint.route("/all/<what>", methods=["GET", "POST"])
@open_to(Role.ADMINISTRATOR)
def selected(what: str) -> ResponseReturnValue:
    """Do one thing with all that a filter or numbers in the address select, after saying so."""
    act = _act_named(what)
    back = url_for(".index", **kept_filter())
    numbers = tuple(request.args.getlist("number", int))
    selection = Selection(numbers=numbers) if numbers else selection_of(read_filter())
    if act is None:
        return redirect(back)
    if is_confirmed():
        with refusals():
            return done(_do(act, selection), back)
        return redirect(back, 303)
    counts = ask(queue.count, selection)
    number = {Act.RETRY: counts["waiting"], Act.HOLD: counts["waiting"], Act.RELEASE: counts["held"]}.get(
        act, sum(counts.values())
    )
    said = f"{number:,} {'delivery' if number == 1 else 'deliveries'}"
    return confirm_page(
        title=f"{act.value.capitalize()} {said}?",
        what=[f"It concerns {said}{_told_filter()}.", WARNINGS[act]],
        button=f"{act.value.capitalize()} {said}",
        back=back,
        is_danger=act is Act.DROP,
    )


def _act_named(name: str) -> Act | None:
    return next((act for act in Act if act.value == name), None)


def _do(act: Act, selection: Selection) -> str:
    number = queue.act(panel().database, actor(), act, selection, panel().contents)
    if act in (Act.RETRY, Act.RELEASE):
        panel().wake_queue()
    return f"{number:,} {'delivery' if number == 1 else 'deliveries'} {DONE[act]}."


def _told_filter() -> str:
    words = {"destination": "to {}", "sender": "from {}", "state": "that are {}", "age": "here for over {}"}
    said = [words[name].format(value) for name, value in kept_filter().items()]
    return f" {', '.join(said)}" if said else ""
