"""The forms' base class, and the form that has nothing but a button.

Neighbours: `templates/macros.html` draws them; each noun's `forms.py` says what can be typed.
"""

from typing import Any

from flask import render_template, request
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField


class Form(FlaskForm):
    """A form with a CSRF token. A field's `description` is the hint below it; text comes trimmed and is never None."""

    class Meta(FlaskForm.Meta):
        """How fields are made."""

        def bind_field(self, form: Any, unbound_field: Any, options: dict[str, Any]) -> Any:
            """Trim what is typed; a password stays as it is."""
            if issubclass(unbound_field.field_class, StringField):
                is_secret = issubclass(unbound_field.field_class, PasswordField)
                clean = _or_nothing if is_secret else _trimmed
                options["filters"] = [clean, *unbound_field.kwargs.get("filters", ())]
            return super().bind_field(form, unbound_field, options)


def _or_nothing(text: str | None) -> str:
    return text or ""


def _trimmed(text: str | None) -> str:
    return (text or "").strip()


class Confirm(Form):
    """Only a button: for acts that need no words."""


def is_confirmed() -> bool:
    """Whether the button of a confirm page, or of a list's row, was pressed; checks the token."""
    is_valid: bool = Confirm().validate_on_submit()
    return is_valid


def confirm_page(*, title: str, what: list[str], button: str, back: str, is_danger: bool = True) -> str:
    """The page that says what an act will do before it is done; its button posts to the same address.

    Args:
        title: the question, as in "Remove ann@example.org?".
        what: a sentence for each thing that will happen.
        button: what the button says.
        back: where "Keep it as it is" leads.
        is_danger: whether it cannot be undone.
    """
    return render_template(
        "confirm.html",
        form=Confirm(),
        title=title,
        what=what,
        button=button,
        back=back,
        is_danger=is_danger,
        here=request.full_path.rstrip("?"),
    )
