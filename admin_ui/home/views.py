"""The first page of an administrator, and the door that leads everybody to theirs."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import Role, open_to
from admin_ui.core.acts import ask
from admin_ui.core.panel import panel
from admin_ui.home.attention import attention_for_person
from mailstack.management import home, limits, queue
from mailstack.management.home import Attention, Over, Topic
from mailstack.store.content import free_space

blueprint = Blueprint("home", __name__)
LISTED = 6
"""Rows of a list on this page; the rest is a click away."""


@blueprint.get("/")
@open_to(Role.PERSON)
def door() -> ResponseReturnValue:
    """To the first page of whoever is signed in."""
    if g.person.is_administrator:
        return redirect(url_for("home.show"))
    first = "me.show" if "me.show" in current_app.view_functions else "security.show"
    return redirect(url_for(first))


@blueprint.get("/home")
@open_to(Role.ADMINISTRATOR)
def show() -> ResponseReturnValue:
    """What needs attention, then pictures."""
    now = datetime.now(UTC)
    over = next((one for one in Over if one.word == request.args.get("over")), Over.DAY)
    backlogs = ask(queue.backlogs, LISTED)
    return render_template(
        "home/show.html",
        attention=[(one, _place(one)) for one in attention_for_person(backlogs, now)],
        over=over,
        periods=list(Over),
        pictures=ask(home.pictures, over, now),
        backlogs=backlogs,
        senders=ask(limits.top_senders, limit=LISTED),
        disk=free_space(panel().config.data) if g.person.all_domains else None,
    )


def _place(one: Attention) -> str | None:
    """Where the mend is done; None = not in the panel."""
    places: dict[Topic, tuple[str, dict[str, Any]]] = {
        Topic.HOST: ("", {}),
        Topic.DOMAINS: ("domains.add", {}),
        Topic.ACCOUNTS: ("accounts.show", {"address": one.of}),
        Topic.HELD: ("queue.index", {"state": "held"}),
        Topic.DESTINATION: ("queue.index", {"destination": one.of}),
    }
    endpoint, values = places[one.topic]
    return url_for(endpoint, **values) if endpoint in current_app.view_functions else None
