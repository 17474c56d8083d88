"""What can be typed about an account."""

from typing import Any

from flask_wtf.file import FileField
from wtforms import PasswordField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, ValidationError

from admin_ui.core.forms import Form
from mailstack.config_values import parse_size

_MADE = "Leave it empty to have one made; it is shown once."
_QUOTA = "How much mail it may keep, like 500M or 2G. Leave it empty for no bound."


def is_quota(_form: Any, field: Any) -> None:
    """A size or nothing."""
    if field.data:
        try:
            parse_size(field.data)
        except ValueError as error:
            raise ValidationError(f"{error}.") from None


def quota_of(field: Any) -> int | None:
    """Octets that a quota field asks for; None = no bound."""
    return parse_size(field.data) if field.data else None


class NewAccount(Form):
    """An account to be."""

    address = StringField(
        "Address",
        [InputRequired("Give the address, like ann@example.org."), Length(max=254)],
        render_kw={"autofocus": True, "autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"},
    )
    password = PasswordField("Password", description=_MADE, render_kw={"autocomplete": "new-password"})
    quota = StringField("Quota", [is_quota], description=_QUOTA)


class NewPassword(Form):
    """Another password."""

    password = PasswordField(
        "New password", description=_MADE, render_kw={"autocomplete": "new-password", "autofocus": True}
    )


class Quota(Form):
    """Another bound."""

    quota = StringField("Quota", [is_quota], description=_QUOTA, render_kw={"autofocus": True})


class Import(Form):
    """A list of accounts."""

    file = FileField("CSV file", description="In UTF-8.", render_kw={"accept": ".csv,text/csv"})
    text = TextAreaField("Or its lines", render_kw={"rows": 8, "spellcheck": "false", "autocomplete": "off"})

    def read(self) -> str:
        """The list: of the file, else as typed.

        Raises:
            UnicodeDecodeError: the file is not in UTF-8.
        """
        if self.file.data:
            return str(self.file.data.read().decode("utf-8-sig"))
        return str(self.text.data)
