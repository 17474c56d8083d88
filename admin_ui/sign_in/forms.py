"""What can be typed to sign in."""

from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from admin_ui.core.forms import Form


class SignIn(Form):
    """Name and password."""

    name = StringField(
        "Name or address",
        [InputRequired("Type your name."), Length(max=254)],
        render_kw={"autocomplete": "username", "autofocus": True, "autocapitalize": "none", "spellcheck": "false"},
    )
    password = PasswordField(
        "Password",
        [InputRequired("Type your password."), Length(max=1024)],
        render_kw={"autocomplete": "current-password"},
    )
