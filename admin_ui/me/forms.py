"""What an owner can type."""

from wtforms import PasswordField
from wtforms.validators import InputRequired

from admin_ui.core.forms import Form


class OwnPassword(Form):
    """The present password, then a new one."""

    present = PasswordField(
        "Present password",
        [InputRequired("Type your present password.")],
        render_kw={"autocomplete": "current-password", "autofocus": True},
    )
    new = PasswordField(
        "New password", [InputRequired("Type a new password.")], render_kw={"autocomplete": "new-password"}
    )
