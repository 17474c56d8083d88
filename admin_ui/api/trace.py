"""What became of a message, by the API."""

from datetime import datetime

from msgspec import Struct, convert

from admin_ui.api.operations import operation
from admin_ui.api.values import Query
from admin_ui.core.acts import ask
from mailstack.management import trace


class Event(Struct):
    """One line of a timeline; an empty recipient = the message as a whole."""

    at: datetime
    event: str
    recipient: str
    detail: str


class Fate(Struct):
    """How it stands with one recipient."""

    recipient: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    last_reply: str


class Message(Struct):
    """A message and its timeline, as `mailstack trace --json` tells it."""

    message: str
    message_id: str
    reverse_path: str
    size: int
    created_at: datetime
    recipients: list[Fate]
    events: list[Event]


class Search(Query):
    """A queue ID, a Message-ID, an address or a whole subject."""

    search: str


@operation("GET", "/trace", "trace:read", "The timeline of each message that matches")
def trace_messages(query: Search) -> list[Message]:
    """The newest first, 200 at most; only what you may see."""
    return convert(ask(trace.trace, query.search), list[Message])
