"""What can be typed to sign in."""

from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from admin_ui.core.forms import Form

_PLAIN = {"autocapitalize": "none", "spellcheck": "false"}


class SignIn(Form):
    """Name and password."""

    name = StringField(
        "Name or address",
        [InputRequired("Type your name."), Length(max=254)],
        render_kw={"autocomplete": "username", "autofocus": True, **_PLAIN},
    )
    password = PasswordField(
        "Password",
        [InputRequired("Type your password."), Length(max=1024)],
        render_kw={"autocomplete": "current-password"},
    )


class Code(Form):
    """The second step."""

    code = StringField(
        "Code",
        [InputRequired("Type the code."), Length(max=64)],
        description="The six digits that your app shows now, or one of your recovery codes.",
        render_kw={"autocomplete": "one-time-code", "inputmode": "text", "autofocus": True, **_PLAIN},
    )


class SetUp(Form):
    """The first administrator."""

    name = StringField(
        "Your name",
        [InputRequired("Choose the name that you will sign in with."), Length(max=64)],
        description="What you will sign in with, and what the audit log will say. No blanks.",
        render_kw={"autocomplete": "username", "autofocus": True, **_PLAIN},
    )
    password = PasswordField(
        "Password",
        [InputRequired("Choose a password."), Length(max=1024)],
        description="Eight characters or more; a few words in a row are good.",
        render_kw={"autocomplete": "new-password"},
    )
