"""What can be typed about forwards, the vacation reply and app passwords."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from wtforms import BooleanField, DateField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from admin_ui.core.forms import Form
from mailstack.management.vacations import MAX_BODY, MAX_SUBJECT, Vacation

_DAY = timedelta(days=1)


class Forwards(Form):
    """Where an account's mail goes as well."""

    targets = TextAreaField(
        "Send mail on to",
        description="One address a line. Leave it empty to end all forwards.",
        render_kw={"rows": 4, "autocapitalize": "none", "spellcheck": "false"},
    )
    keeps_copy = BooleanField("Keep a copy in this mailbox", default=True)

    def addresses(self) -> list[str]:
        """The targets, one by one."""
        return str(self.targets.data).replace(",", " ").split()


class VacationReply(Form):
    """What is answered while somebody is away."""

    subject = StringField(
        "Subject",
        [Length(max=MAX_SUBJECT, message=f"Give at most {MAX_SUBJECT} characters.")],
        description="Leave it empty to answer with the subject of the mail.",
    )
    body = TextAreaField(
        "Text",
        [
            InputRequired("Say that you are away, and until when."),
            Length(max=MAX_BODY, message=f"Give at most {MAX_BODY} characters."),
        ],
        render_kw={"rows": 7},
    )
    first_day = DateField("First day", [Optional()], description="Leave it empty to begin now.")
    last_day = DateField("Last day", [Optional()], description="Leave it empty until you end it. Days are in UTC.")

    @classmethod
    def of(cls, kept: Vacation | None) -> "VacationReply":
        """The form of a reply that is set, or an empty one."""
        if kept is None:
            return cls()
        values: dict[str, Any] = {"subject": kept.subject, "body": kept.body}
        first = kept.starts_at and kept.starts_at.date()
        return cls(first_day=first, last_day=kept.last_day, **values)

    def reply(self) -> Vacation:
        """What was typed; the last day counts in full."""
        starts, ends = _begin(self.first_day.data), _begin(self.last_day.data)
        return Vacation(self.subject.data, self.body.data, starts, ends and ends + _DAY)


def _begin(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


class NewAppPassword(Form):
    """An app password to be."""

    name = StringField(
        "Name",
        [InputRequired("Say which device or program it is for."), Length(max=64)],
        description="The device or program it is for, like: phone.",
        render_kw={"autocomplete": "off"},
    )
