"""Where is my mail? A search, what it finds, and each message's timeline by recipient.

Everybody sees what is theirs: an account's owner their own mail, an administrator that of their domains.
"""

from typing import Any

from flask import Blueprint, g, render_template, request
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import ask
from mailstack.management import trace
from mailstack.management.actor import Refused
from mailstack.policy.explain import explain_text

blueprint = Blueprint("trace", __name__, url_prefix="/trace")

SHOWN = 50
GOOD, BAD, WARN, QUIET = "good", "bad", "warn", "quiet"
KINDS = {"delivered": GOOD, "failed": BAD, "expired": BAD, "bounced": BAD, "deferred": WARN, "held": WARN}
"""The colour of each event and state; others are quiet."""


@blueprint.get("/")
@open_to(Role.PERSON)
def index() -> ResponseReturnValue:
    """The search, with what it finds; an account's owner sees their latest mail at once."""
    searched = request.args.get("search", "").strip()
    query = searched or (g.person.name if g.person.account_id is not None else "")
    messages = ask(trace.trace, query, SHOWN) if query else []
    return render_template("trace/list.html", messages=messages, searched=searched, fate_of=fate_of, kinds=KINDS)


@blueprint.get("/<queue_id>")
@open_to(Role.PERSON)
def show(queue_id: str) -> ResponseReturnValue:
    """One message's story."""
    found = [one for one in ask(trace.trace, queue_id, 1) if one["message"] == queue_id.upper()]
    if not found:
        raise Refused(f"no message {queue_id} that you may see is known; it may be older than the history goes")
    return render_template("trace/show.html", message=found[0], stories=_stories(found[0]), kinds=KINDS)


def fate_of(message: dict[str, Any]) -> list[tuple[str, int]]:
    """How many recipients of a message are in each state, the worst first."""
    states = [one["state"] for one in message["recipients"]]
    return [(state, states.count(state)) for state in ("failed", "held", "waiting", "delivered") if state in states]


def _stories(message: dict[str, Any]) -> list[dict[str, Any]]:
    """For each recipient the state, the next try, the events and, unless all is well, the last words explained."""
    stories = []
    for one in message["recipients"]:
        events = [event for event in message["events"] if event["recipient"] == one["recipient"]]
        explained = None
        if one["state"] != "delivered":
            explained = next(filter(None, (explain_text(event["detail"]) for event in reversed(events))), None)
        stories.append({**one, "events": events, "explained": explained})
    return stories
