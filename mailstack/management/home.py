"""The first page: what needs attention, in plain words with the mend, and how much mail came and went.

A domain's administrator sees what concerns the domains. What concerns the machine, `operations/inspection` finds.
Neighbours: `queue` knows backlogs, `store/tally` has counted the events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import ColumnElement, Connection, select

from mailstack.mail.domain import domain_for_people
from mailstack.management import queue
from mailstack.management.actor import Actor
from mailstack.management.acts import for_people
from mailstack.policy.explain import explain_text
from mailstack.store.backup_runs import MEND, backup_trouble
from mailstack.store.open_mail import Backlog
from mailstack.store.schema import account, domain, mailbox, micros
from mailstack.store.tally import HOUR_MICROS, read_counts

NEARLY_FULL_PERCENT = 90
FAILS_FOR_LONG = timedelta(hours=4)
MOST_OF_A_KIND = 3


class Topic(Enum):
    """Where the mend is done."""

    HOST = "host"
    DOMAINS = "domains"
    ACCOUNTS = "accounts"
    HELD = "held"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that somebody should look at."""

    topic: Topic
    what: str
    mend: str
    words: str = ""
    """The other side's own."""
    of: str = ""
    """The account or the destination, when it is about one."""
    is_urgent: bool = False
    """Mail is lost, refused or stuck because of it."""


class Over(Enum):
    """How far back a picture goes: its name, hours in a bar, bars."""

    DAY = ("day", 1, 24)
    WEEK = ("week", 6, 28)
    MONTH = ("month", 24, 30)

    def __init__(self, word: str, step: int, bars: int) -> None:
        self.word = word
        self.step = step
        self.bars = bars


@dataclass(frozen=True, slots=True)
class Picture:
    """How often something happened: a number for each bar, the oldest first."""

    name: str
    numbers: Sequence[int]

    @property
    def total(self) -> int:
        """All bars together."""
        return sum(self.numbers)


PICTURES = {
    "accepted": ("accepted",),
    "delivered": ("delivered",),
    "deferred": ("deferred",),
    "failed": ("failed", "expired"),
    "held": ("held",),
}
"""What is drawn, and the events that count for it."""


def pictures(connection: Connection, actor: Actor, over: Over, now: datetime) -> list[Picture]:
    """How much mail came and went; for a domain's administrator, the mail that the domains' accounts sent."""
    hour = micros(now) // HOUR_MICROS
    first = hour - over.step * over.bars + 1
    counts = read_counts(connection, first, _domain_ids(connection, actor))
    return [
        Picture(name, _bars([(one.hour - first, one.number) for one in counts if one.event in events], over))
        for name, events in PICTURES.items()
    ]


def _bars(counts: list[tuple[int, int]], over: Over) -> list[int]:
    bars = [0] * over.bars
    for hours_in, number in counts:
        bars[min(hours_in // over.step, over.bars - 1)] += number
    return bars


def _domain_ids(connection: Connection, actor: Actor) -> Sequence[int] | None:
    if actor.all_domains:
        return None
    return connection.scalars(select(domain.c.id).where(domain.c.name.in_(actor.domains))).all()


def attention(connection: Connection, actor: Actor, backlogs: Sequence[Backlog], now: datetime) -> list[Attention]:
    """What needs attention, the urgent first; `backlogs` are the actor's (`queue.backlogs`)."""
    found = [
        *_nothing_yet(connection, actor),
        *_backup(connection, actor, now),
        *_frozen(connection, actor),
        *_held(connection, actor),
        *_failing(backlogs, now),
        *_nearly_full(connection, actor),
    ]
    return sorted(found, key=lambda one: not one.is_urgent)


def _nothing_yet(connection: Connection, actor: Actor) -> list[Attention]:
    if not actor.all_domains or connection.scalar(select(domain.c.id).limit(1)) is not None:
        return []
    return [Attention(Topic.DOMAINS, "There is no domain yet: no mail is taken", "Add the first one", is_urgent=True)]


def _backup(connection: Connection, actor: Actor, now: datetime) -> list[Attention]:
    trouble, error = backup_trouble(connection, now) if actor.all_domains else ("", "")
    if not trouble:
        return []
    return [Attention(Topic.HOST, trouble[:1].upper() + trouble[1:], MEND[:1].upper() + MEND[1:], words=error)]


def _frozen(connection: Connection, actor: Actor) -> list[Attention]:
    rows = connection.execute(
        select(account.c.local_part, domain.c.name, account.c.frozen_why)
        .select_from(account.join(domain))
        .where(account.c.frozen_at.is_not(None), *_theirs(actor))
        .order_by(account.c.frozen_at)
        .limit(MOST_OF_A_KIND)
    )
    return [
        Attention(
            Topic.ACCOUNTS,
            f"{for_people(key)} is frozen: {row.frozen_why or 'its sending looked like a thief'}",
            "Look at what it sent, give it a new password if need be, then release or drop what is held",
            of=key,
            is_urgent=True,
        )
        for row in rows
        for key in (f"{row.local_part}@{row.name}",)
    ]


def _held(connection: Connection, actor: Actor) -> list[Attention]:
    number = queue.count(connection, actor)["held"]
    if not number:
        return []
    are = "1 delivery is" if number == 1 else f"{number:,} deliveries are"
    return [Attention(Topic.HELD, f"{are} held", "See why; release or drop, or wait until the limits free")]


def _failing(backlogs: Sequence[Backlog], now: datetime) -> list[Attention]:
    failing = [one for one in backlogs if one.last_reply and one.waiting and now - one.oldest_at > FAILS_FOR_LONG]
    return [_stuck(one) for one in failing[:MOST_OF_A_KIND]]


def _stuck(one: Backlog) -> Attention:
    explained = explain_text(one.last_reply)
    return Attention(
        Topic.DESTINATION,
        f"Mail to {domain_for_people(one.domain)} does not get through",
        explained.next_step.rstrip(".") if explained else "See what the other side says, mend it, try again",
        words=one.last_reply,
        of=one.domain,
    )


def _nearly_full(connection: Connection, actor: Actor) -> list[Attention]:
    share = mailbox.c.used_octets * 100 / account.c.quota_octets
    rows = connection.execute(
        select(account.c.local_part, domain.c.name, share.label("percent"))
        .select_from(account.join(domain).join(mailbox))
        .where(account.c.quota_octets.is_not(None), share >= NEARLY_FULL_PERCENT, *_theirs(actor))
        .order_by(share.desc())
        .limit(MOST_OF_A_KIND)
    )
    return [
        Attention(
            Topic.ACCOUNTS,
            f"The mailbox of {for_people(key)} is full; mail to it is refused"
            if row.percent >= 100
            else f"The mailbox of {for_people(key)} is {int(row.percent)} % full",
            "Ask for mail to be fetched and deleted, or raise the quota",
            of=key,
            is_urgent=row.percent >= 100,
        )
        for row in rows
        for key in (f"{row.local_part}@{row.name}",)
    ]


def _theirs(actor: Actor) -> list[ColumnElement[bool]]:
    return [] if actor.all_domains else [domain.c.name.in_(actor.domains)]
