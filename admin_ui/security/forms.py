"""What can be typed about one's own sign-in; each change asks for the password again."""

from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from admin_ui.core.forms import Form


def _present_password() -> PasswordField:
    return PasswordField(
        "Present password",
        [InputRequired("Type your present password."), Length(max=1024)],
        render_kw={"autocomplete": "current-password"},
    )


class ChangePassword(Form):
    """A new password."""

    present = _present_password()
    new = PasswordField(
        "New password",
        [InputRequired("Type the new password."), Length(max=1024)],
        description="Eight characters or more; a few words in a row are good. Your other sessions end.",
        render_kw={"autocomplete": "new-password"},
    )


class AddApp(Form):
    """An app for one-time codes."""

    secret = HiddenField()
    name = StringField("Name of the device", [InputRequired("Say which device it is.")], default="my phone")
    code = StringField(
        "Code that the app shows",
        [InputRequired("Type the six digits."), Length(max=64)],
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric"},
    )
    present = _present_password()


class AddPasskey(Form):
    """A passkey; the browser fills in what the device answered."""

    answer = HiddenField()
    name = StringField("Name of the passkey", [InputRequired("Say which device it is.")], default="my key")
    present = _present_password()


class PasswordAgain(Form):
    """Only the password, before what matters."""

    present = _present_password()
