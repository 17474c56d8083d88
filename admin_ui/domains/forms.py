"""What can be typed about a domain."""

from wtforms import IntegerField, RadioField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, NumberRange, Optional

from admin_ui.core.forms import Form
from mailstack.management.domains import DomainTerms, DomainView

_NUMBER = {"inputmode": "numeric"}


class NewDomain(Form):
    """A domain to be."""

    name = StringField(
        "Domain",
        [InputRequired("Give the domain's name, like example.org.")],
        render_kw={"autofocus": True, "autocapitalize": "none", "spellcheck": "false"},
    )
    kind = RadioField(
        "Kind",
        choices=[
            SelectChoice("local", "Local: its accounts and their mail are here"),
            SelectChoice("relay", "Relay: we are its backup MX and pass its mail on"),
        ],
        default="local",
    )
    next_hop = StringField(
        "Next hop",
        description="HOST or HOST:PORT. Where mail of a relay domain goes; a local domain needs none.",
        render_kw={"autocapitalize": "none", "spellcheck": "false"},
    )
    expire_days = IntegerField(
        "Mail expires after",
        [Optional(), NumberRange(0, 36500, "Give days from 0 to 36500, or leave it empty.")],
        description="Days that mail stays in a mailbox (POP3 EXPIRE). Leave it empty for the host's setting.",
        render_kw=_NUMBER,
    )
    login_delay_seconds = IntegerField(
        "Delay between log-ins",
        [Optional(), NumberRange(0, 86400, "Give seconds from 0 to 86400, or leave it empty.")],
        description="Seconds between two log-ins of a mail client (POP3 LOGIN-DELAY). Empty for the host's setting.",
        render_kw=_NUMBER,
    )

    def terms(self) -> DomainTerms:
        """What was typed."""
        return DomainTerms(
            self.kind.data, self.next_hop.data or None, self.expire_days.data, self.login_delay_seconds.data
        )


class Terms(NewDomain):
    """What can be set for a domain that is there."""

    name = None


class Removal(Form):
    """The name once more: so much goes that a slip must not be enough."""

    name = StringField(
        "Type the domain's name to remove it", render_kw={"autocomplete": "off", "autocapitalize": "none"}
    )

    def names(self, view: DomainView) -> bool:
        """Whether the name of that domain was typed; else the field says so."""
        if self.name.data.lower() in (view.name, view.for_people):
            return True
        self.name.errors = [f"That is not {view.for_people}; type its name as it stands above."]
        return False
