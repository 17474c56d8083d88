"""Runs questions and acts of `management/` as the person who is signed in, and shows what is refused.

    view = ask(domains.get, name)

    if form.validate_on_submit():
        with refusals(form.name):           # Refused becomes this field's error, and the page is shown again
            act(domains.add, form.name.data, terms)
            return done("The domain is here.", url_for("domains.index"))
    return render_template("domains/edit.html", form=form)

A refusal that no view catches becomes an error page (`core/errors`).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from flask import flash, g, redirect
from flask.typing import ResponseReturnValue

from admin_ui.core.panel import panel
from mailstack.management.actor import Actor, Refused
from mailstack.store.database import Connection

P = ParamSpec("P")
T = TypeVar("T")


def actor() -> Actor:
    """The person who is signed in, acting from the address of this request."""
    who: Actor = g.actor
    return who


def ask(question: Callable[Concatenate[Connection, Actor, P], T], *arguments: P.args, **options: P.kwargs) -> T:
    """The answer to a question of `management/`, on a reading connection."""
    return panel().database.read_now(lambda connection: question(connection, actor(), *arguments, **options))


def act(work: Callable[Concatenate[Connection, Actor, P], T], *arguments: P.args, **options: P.kwargs) -> T:
    """Run an act of `management/` in a transaction of its own."""
    return panel().database.write_now(lambda connection: work(connection, actor(), *arguments, **options))


@contextmanager
def refusals(field: Any = None) -> Iterator[None]:
    """Show a refusal as the error of a form's field or, with none, above the next page; then go on behind the block."""
    try:
        yield
    except Refused as refusal:
        if field is None:
            flash(sentence(str(refusal)), "error")
        else:
            field.errors = [*field.errors, sentence(str(refusal))]


def done(message: str, location: str) -> ResponseReturnValue:
    """Say what was done on the page that comes next."""
    flash(message, "done")
    return redirect(location, 303)


def sentence(text: str) -> str:
    """One of our one-line messages as a sentence, without what to type in a shell; a name keeps its first letter."""
    text = _COMMANDS.sub("", text)
    opening = text[:1].upper() if text.partition(" ")[0] in _OPENINGS else text[:1]
    return f"{opening}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


_COMMANDS = re.compile(r"; [^;]*`[^`]+`.*")
_OPENINGS = frozenset(("a", "an", "the", "this", "that", "there", "it", "nothing", "no", "not", "other", "your", "you"))
