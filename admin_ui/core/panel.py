"""What the panel needs of the host; the same in the server's process and in one of its own.

Neighbours: `mailstack.app` and `wsgi` make it, `core/acts` uses it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flask import current_app

from mailstack.config import Config
from mailstack.mail.address import Address
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.management.queue import DestinationState
from mailstack.management.turnstile import Turnstile
from mailstack.store.content import ContentStore
from mailstack.store.database import Database


def _sleep_on() -> None:
    """The queue looks by itself within seconds."""


def _takes_no_mail(*_mail: object) -> Reply:
    """A process of its own does not reach the mail host's reactor."""
    return reply(451, Status.SYSTEM_OTHER, "mail is taken by the panel that the mail host itself serves, and by SMTP")


def _knows_none(_domain: str) -> DestinationState | None:
    """A process of its own does not see into the queue."""
    return None


@dataclass(frozen=True, slots=True)
class Panel:
    """The parts of the host that pages work on."""

    database: Database
    contents: ContentStore
    config: Config
    wake_queue: Callable[[], None] = _sleep_on
    """Called after an act that lets deliveries go; from any thread."""
    submit: Callable[[str, str, Address, Sequence[Address], bytes], Reply] = _takes_no_mail
    """Submit a mail: account, client address, reverse-path, recipients, content (`reception/handover`). Blocks."""
    destination_state: Callable[[str], DestinationState | None] = _knows_none
    """How the queue deals with a domain now; None = nothing is due for it. From any thread."""
    turnstile: Turnstile = field(default_factory=Turnstile)
    """Slows sign-ins down; in the server's process together with mail clients' log-ins."""


def panel() -> Panel:
    """The panel of the application that runs this request."""
    found: Panel = current_app.extensions["mailstack"]
    return found
