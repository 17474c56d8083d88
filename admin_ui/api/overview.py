"""How the host is, by the API: what needs attention, and how much mail came and went."""

from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from admin_ui.api.operations import operation
from admin_ui.api.values import Query
from admin_ui.core.acts import ask
from admin_ui.home.attention import attention_for_person
from mailstack.management import home, queue
from mailstack.management.home import Over

BACKLOGS = 20
"""The longest backlogs, which are looked at for mail that does not get through."""


class Attention(Struct):
    """Something that somebody should look at, and the mend; `urgent`: mail is lost, refused or stuck."""

    topic: str
    what: str
    mend: str
    words: str
    of: str
    urgent: bool


class Picture(Struct):
    """How often something happened: a number for each span of time, the oldest first."""

    name: str
    numbers: list[int]
    total: int


class Overview(Struct):
    """What needs attention, the urgent first; then the numbers, with the hours that each stands for."""

    attention: list[Attention]
    hours: int
    pictures: list[Picture]


class Span(Query):
    """How far back the numbers go."""

    over: Literal["day", "week", "month"] = "day"


@operation("GET", "/overview", "overview:read", "What needs attention, and how much mail came and went")
def get_overview(query: Span) -> Overview:
    """Of the domains you run; the numbers lag behind by up to two minutes."""
    now = datetime.now(UTC)
    over = next(one for one in Over if one.word == query.over)
    attention = attention_for_person(ask(queue.backlogs, BACKLOGS), now)
    return Overview(
        [Attention(x.topic.value, x.what, x.mend, x.words, x.of, x.is_urgent) for x in attention],
        over.step,
        [Picture(x.name, list(x.numbers), x.total) for x in ask(home.pictures, over, now)],
    )
