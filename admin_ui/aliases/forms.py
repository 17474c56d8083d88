"""What can be typed about an alias."""

from wtforms import StringField, TextAreaField
from wtforms.validators import InputRequired

from admin_ui.core.forms import Form

_TARGETS = "One address a line: accounts, other aliases, or addresses anywhere."


class NewAlias(Form):
    """An alias to be."""

    address = StringField(
        "Alias",
        [InputRequired("Give the address, like info@example.org, or @example.org for the catch-all.")],
        description="Like info@example.org. @example.org alone is the catch-all: whatever has no address of its own.",
        render_kw={"autofocus": True, "autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"},
    )
    targets = TextAreaField(
        "Targets",
        [InputRequired("Name one address or more.")],
        description=_TARGETS,
        render_kw={"rows": 5, "autocapitalize": "none", "spellcheck": "false"},
    )

    def addresses(self) -> list[str]:
        """The targets, one by one."""
        return str(self.targets.data).replace(",", " ").split()


class Targets(NewAlias):
    """What an alias that is there means."""

    address = None
