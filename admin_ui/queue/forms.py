"""By what the queue is filtered, and how a filter travels in an address."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import request
from wtforms import SelectField, StringField
from wtforms.fields import SelectChoice

from admin_ui.core.forms import Form
from mailstack.management.actor import Refused
from mailstack.management.acts import read_domain
from mailstack.management.queue import Selection
from mailstack.store.schema import micros

AGES = {"1h": timedelta(hours=1), "4h": timedelta(hours=4), "1d": timedelta(days=1), "3d": timedelta(days=3)}
NAMES = ("destination", "sender", "state", "age")


class Filter(Form):
    """All empty = everything that is open."""

    class Meta(Form.Meta):
        """A question changes nothing."""

        csrf = False

    destination = StringField("To domain", render_kw={"placeholder": "example.com"})
    sender = StringField("From", render_kw={"placeholder": "ann@example.org or @example.org"})
    state = SelectField("State", choices=[SelectChoice("", "any"), SelectChoice("waiting"), SelectChoice("held")])
    age = SelectField(
        "Here for",
        choices=[
            SelectChoice("", "any time"),
            SelectChoice("1h", "over an hour"),
            SelectChoice("4h", "over 4 hours"),
            SelectChoice("1d", "over a day"),
            SelectChoice("3d", "over 3 days"),
        ],
    )


def read_filter() -> Filter:
    """The filter of this request's address."""
    return Filter(request.args)


def selection_of(form: Filter) -> Selection:
    """What the filter selects; what cannot be read becomes an error of its field and selects nothing."""
    age = AGES.get(form.age.data or "")
    domain = None
    if form.destination.data:
        try:
            domain = read_domain(form.destination.data)
        except Refused as refusal:
            form.destination.errors = [str(refusal)]
            return Selection(numbers=(0,))
    return Selection(
        domain=domain,
        sender=form.sender.data or None,
        state=form.state.data or None,
        accepted_before=None if age is None else micros(datetime.now(UTC) - age),
    )


def kept_filter() -> dict[str, Any]:
    """What the address says of the filter, for links that keep it."""
    return {name: request.args[name] for name in NAMES if request.args.get(name)}
