"""What can be typed about a sending limit."""

from wtforms import IntegerField, RadioField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, NumberRange, Optional

from admin_ui.core.forms import Form
from mailstack.management.limits import MAX_CAP
from mailstack.policy.limits import Over, Per, Rule

_CAP = [Optional(), NumberRange(0, MAX_CAP, f"Give a number from 0 to {MAX_CAP:,}, or nothing for no cap.")]


class RuleForm(Form):
    """A rule: for whom, over which window, how much, and what happens beyond."""

    scope = StringField(
        "For whom",
        [InputRequired("Say for whom: *, a domain, each@domain, or an address.")],
        description="ann@example.org: that account. example.org: all its accounts together. each@example.org: every "
        "account of it, for itself. *: every account that has no rule of its own for that window.",
    )
    per = SelectField(
        "Window",
        choices=[
            SelectChoice("hour", "an hour"),
            SelectChoice("day", "a day"),
            SelectChoice("minute", "a minute"),
            SelectChoice("message", "one message: only recipients are capped"),
        ],
    )
    recipients = IntegerField("At most so many recipients", _CAP)
    messages = IntegerField("At most so many messages", _CAP)
    first_time = IntegerField(
        "At most so many first-time recipients",
        _CAP,
        description="Addresses that the account never wrote to before: many at once are the best sign of a stolen "
        "password.",
    )
    over = RadioField(
        "What is over it",
        choices=[
            SelectChoice("refuse", "is refused, with the moment at which the limit frees"),
            SelectChoice("hold", "is accepted, held, and leaves by itself as the limit frees"),
        ],
        default="refuse",
    )

    def rule(self) -> Rule:
        """The rule as it was typed; `management/limits` checks the rest."""
        return Rule(
            self.scope.data,
            Per(self.per.data),
            self.messages.data,
            self.recipients.data,
            Over(self.over.data),
            first_time=self.first_time.data,
        )

    def fill(self, rule: Rule) -> None:
        """Show a rule that is there."""
        self.scope.data, self.per.data, self.over.data = rule.scope, rule.per.value, rule.over.value
        self.messages.data, self.recipients.data, self.first_time.data = (
            rule.messages,
            rule.recipients,
            rule.first_time,
        )


class Freeze(Form):
    """Why an account's sending is held."""

    why = StringField("Why?", [InputRequired("Say why: the account's owner will read it.")])
