"""The queue, by the API."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, convert, field

from admin_ui.api.operations import operation
from admin_ui.api.values import Body, Done, Items, Limit, Query
from admin_ui.core.acts import actor, ask
from admin_ui.core.panel import panel
from mailstack.management import queue
from mailstack.management.actor import Refused
from mailstack.management.acts import read_domain
from mailstack.management.queue import Act, Selection
from mailstack.store.schema import micros


class Delivery(Struct):
    """One recipient of one message that waits or is held, as `mailstack queue list --json` tells it."""

    id: str
    message: str
    reverse_path: str
    recipient: str
    state: Literal["waiting", "held"]
    held_by: str | None
    attempts: int
    next_attempt_at: datetime
    last_reply: str
    size: int
    created_at: datetime


class QueueFilter(Query):
    """All that is given must hold."""

    domain: str = ""
    """The recipient's."""
    sender: str = ""
    """An address, or `@domain`."""
    state: Literal["", "waiting", "held"] = ""
    hours: Annotated[int, Meta(ge=0, le=24 * 365)] = 0
    """Only what has been here longer."""
    after: Annotated[int, Meta(ge=0)] = 0
    """`next` of the page before."""
    limit: Limit = 100


class Which(Body):
    """Deliveries' or messages' IDs, or a domain, or all: one of the three."""

    ids: list[str] = field(default_factory=list)
    domain: str = ""
    all: bool = False


class Destination(Struct):
    """What is open for a destination domain."""

    domain: str
    waiting: int
    held: int
    oldest_at: datetime
    last_reply: str


@operation("GET", "/queue", "queue:read", "What waits or is held")
def list_queue(query: QueueFilter) -> Items[Delivery]:
    """The oldest first."""
    selection = Selection(
        domain=read_domain(query.domain) if query.domain else None,
        sender=query.sender or None,
        state=query.state or None,
        accepted_before=micros(datetime.now(UTC) - timedelta(hours=query.hours)) if query.hours else None,
    )
    found = ask(queue.find, selection, after=query.after, limit=query.limit + 1)
    shown = found[: query.limit]
    return Items([_told(row) for row in shown], str(shown[-1]["number"]) if len(found) > query.limit else None)


@operation("GET", "/queue/destinations", "queue:read", "Where most of the queue is going")
def list_destinations() -> list[Destination]:
    """The longest backlog first."""
    return [
        Destination(one.domain, one.waiting, one.held, one.oldest_at, one.last_reply) for one in ask(queue.backlogs)
    ]


@operation("POST", "/queue/{act}", "queue:write", "Retry, hold, release or drop deliveries")
def act_on_queue(act: str, body: Which) -> Done:
    """The part `act` is retry, hold, release or drop."""
    if act not in set(Act):
        raise Refused(f'"{act}" cannot be done with the queue; take {", ".join(Act)}')
    if bool(body.ids) + bool(body.domain) + body.all != 1:
        raise Refused("name either ids, or a domain, or all")
    selection = Selection.of(body.ids, read_domain(body.domain) if body.domain else None)
    done = queue.act(panel().database, actor(), Act(act), selection, panel().contents)
    if Act(act) in (Act.RETRY, Act.RELEASE):
        panel().wake_queue()
    return Done(done)


def _told(row: dict[str, Any]) -> Delivery:
    return convert(row, Delivery)
