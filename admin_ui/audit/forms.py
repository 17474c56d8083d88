"""How the audit log is narrowed."""

from wtforms import SelectField, StringField
from wtforms.fields import SelectChoice

from admin_ui.core.forms import Form

NOUNS = (
    SelectChoice("", "Everything"),
    SelectChoice("sign-in", "Signing in"),
    SelectChoice("account", "Accounts"),
    SelectChoice("alias", "Aliases"),
    SelectChoice("domain", "Domains"),
    SelectChoice("limit", "Limits"),
    SelectChoice("queue", "Queue"),
    SelectChoice("admin", "Administrators"),
    SelectChoice("factor", "Second steps"),
    SelectChoice("token", "API tokens"),
)


class Filter(Form):
    """Who, what, about what; it changes nothing and travels in the address."""

    class Meta(Form.Meta):
        """No token."""

        csrf = False

    who = StringField("Who or where")
    what = SelectField("What", choices=list(NOUNS), default="")
    about = StringField("About")
