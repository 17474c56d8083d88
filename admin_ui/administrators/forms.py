"""What can be typed about an administrator."""

from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from admin_ui.core.forms import Form


class NewAdministrator(Form):
    """Name, password, domains."""

    name = StringField("Name", [InputRequired("Give the name they will sign in with."), Length(max=64)])
    password = PasswordField(
        "Password",
        [InputRequired("Give a first password; they can change it.")],
        render_kw={"autocomplete": "new-password"},
    )
    domains = StringField(
        "Domains", description="Blank-separated. Leave empty for a superadministrator, who runs all domains."
    )


class NewPassword(Form):
    """A new password."""

    password = PasswordField(
        "New password", [InputRequired("Type the new password.")], render_kw={"autocomplete": "new-password"}
    )
