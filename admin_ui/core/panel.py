"""What the panel needs of the host; the same in the server's process and in one of its own.

Neighbours: `mailstack.app` and `wsgi` make it, `core/acts` uses it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flask import current_app

from mailstack.config import Config
from mailstack.store.content import ContentStore
from mailstack.store.database import Database


def _sleep_on() -> None:
    """The queue looks by itself within seconds."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The parts of the host that pages work on."""

    database: Database
    contents: ContentStore
    config: Config
    wake_queue: Callable[[], None] = _sleep_on
    """Called after an act that lets deliveries go; from any thread."""


def panel() -> Panel:
    """The panel of the application that runs this request."""
    found: Panel = current_app.extensions["mailstack"]
    return found
