"""All that needs a person's attention: what `management/home` finds in the mail, and what is wrong with the machine.

Neighbours: `views` shows it with the way to the mend, `api/overview` gives it to programs.
"""

from collections.abc import Sequence
from datetime import datetime

from flask import g

from admin_ui.core.acts import ask
from admin_ui.core.panel import panel
from mailstack.management import home
from mailstack.management.home import Attention, Topic
from mailstack.operations.inspection import inspect_running
from mailstack.store.open_mail import Backlog


def attention_for_person(backlogs: Sequence[Backlog], now: datetime) -> list[Attention]:
    """What whoever is signed in should look at, the urgent first; the machine concerns superadministrators."""
    found = ask(home.attention, backlogs, now)
    if g.person.all_domains:
        found += _of_the_machine(now)
    return sorted(found, key=lambda one: not one.is_urgent)


def _of_the_machine(now: datetime) -> list[Attention]:
    """Findings, whose text has the setting, what is wrong, and the mend."""
    found = []
    for finding in inspect_running(panel().config, now):
        what, _, mend = finding.what.partition(": ")[2].rpartition("; ")
        found.append(Attention(Topic.HOST, _capital(what), _capital(mend), is_urgent=finding.is_wrong))
    return found


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
