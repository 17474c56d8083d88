"""What can be said of a new token."""

from wtforms import SelectField, SelectMultipleField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Length
from wtforms.widgets import CheckboxInput, ListWidget

from admin_ui.core.forms import Form
from mailstack.management.tokens import MAX_NAME, SCOPES


class Checkboxes(SelectMultipleField):
    """Several of some, each a box to tick."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class NewToken(Form):
    """Name, what it is good for, how long."""

    name = StringField(
        "What is it for?",
        [InputRequired("Say what the token is for, such as the name of the shop."), Length(max=MAX_NAME)],
    )
    scopes = Checkboxes(
        "What may it do?",
        [InputRequired("Tick at least one.")],
        choices=[SelectChoice(scope, scope.replace(":", ": ")) for scope in SCOPES],
    )
    days = SelectField(
        "How long?",
        choices=[
            SelectChoice("90", "90 days"),
            SelectChoice("365", "a year"),
            SelectChoice("30", "30 days"),
            SelectChoice("", "until I revoke it"),
        ],
    )
