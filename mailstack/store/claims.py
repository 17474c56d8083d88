"""What the queue takes out of the spool: which destinations have due mail, and units of work with a lease on them.

The next attempt is written before the try: the commit that claims a delivery counts the attempt, sets the moment of
the next one and leases it, so a crash costs a repeated try and nothing else. Cost does not grow with the queue:
domains are walked by a loose index scan, and each claim reads the part of `ix_delivery_due` of its own domain and
lane, so that no destination with any backlog stands before another, and no mailing before people's mail. Neighbours:
`spool` is the queue's face of this; `queue/runner` decides how much to claim for whom.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Row, bindparam, func, or_, select, text

from mailstack.mail.address import Address, AddressError, parse_address
from mailstack.mail.envelope import Body, Envelope, Notify, Recipient, Ret
from mailstack.store.rows import change_rows
from mailstack.store.schema import delivery, from_micros, message

UNIT_RECIPIENTS = 100
"""Recipients in one transaction: what each server must take (RFC 5321 section 4.5.3.1.8)."""
MESSAGES_TOGETHER = 50
"""Messages whose deliveries to other domains of a destination are looked up in one query."""
COMPANIONS_MOST = 2000
"""Deliveries that such a query reads; what is beyond stays due."""
WALK_DOMAINS = 2000
"""Domains visited by one step of the walk: some ten milliseconds of a reading thread."""
SPREAD_SECONDS = 60
"""Retries that came due while the host was down leave over this time after the start."""

_IS_WAITING = text("delivery.state = 'waiting'")
# Literal, for SQLite uses a partial index only when it can read the condition in the statement itself.

_WALK = """
WITH RECURSIVE walk(domain, step) AS (
    SELECT (SELECT min(domain) FROM delivery WHERE state = 'waiting' {beyond}), 1
    UNION ALL
    SELECT (SELECT min(domain) FROM delivery WHERE state = 'waiting' AND domain > walk.domain), step + 1
    FROM walk WHERE walk.domain IS NOT NULL AND step < :most
), seen AS (
    SELECT domain, step, EXISTS ({due} AND is_bulk = false) AS has_people, EXISTS ({due} AND is_bulk = true) AS has_bulk
    FROM walk WHERE domain IS NOT NULL
)
SELECT domain, step, has_people, has_bulk FROM seen WHERE has_people OR has_bulk OR step = :most
"""
_DUE = """SELECT 1 FROM delivery WHERE state = 'waiting' AND delivery.domain = walk.domain
        AND next_attempt_at <= :now AND coalesce(leased_until, 0) <= :now"""
_WALK_FIRST = text(_WALK.format(beyond="", due=_DUE))
_WALK_ON = text(_WALK.format(beyond="AND domain > :after", due=_DUE))


@dataclass(frozen=True, slots=True)
class Due:
    """A domain with due mail of people's lane, or of the lane of bulk."""

    domain: str
    is_bulk: bool = False


@dataclass(frozen=True, slots=True)
class Want:
    """What the runner has room for: so many deliveries to a domain, of one lane. `key` is its destination."""

    domain: str
    key: str
    deliveries: int
    is_shared: bool = False
    """Whether other domains may have the same destination, so that a message to several is one transaction."""
    is_bulk: bool = False

    @property
    def due(self) -> "Due":
        """Whose deliveries it takes."""
        return Due(self.domain, self.is_bulk)


@dataclass(frozen=True, slots=True)
class Terms:
    """The circumstances of a claim; times in microseconds since 1970.

    `retry_at` gives the next attempt for (attempts, created at); `key_of` the destination of a domain. Both are called
    in the writer's thread. `started` is when this node began, for the spread of what was overdue then.
    """

    now: int
    leased_until: int
    started: int
    retry_at: Callable[[int, int], int]
    key_of: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class DueRecipient:
    """One delivery in a unit. `attempts` counts the one to come; `due_at` and `retry_at` are before and after it."""

    delivery_id: int
    recipient: Recipient
    attempts: int
    due_at: int
    retry_at: int
    created_at: datetime
    is_delay_told: bool
    last_reply: str
    is_urgent: bool
    """An administrator wants it tried at once, also where the destination rests."""


@dataclass(frozen=True, slots=True)
class Unit:
    """All due recipients of one message at one destination, to be tried in one transaction."""

    key: str
    queue_id: str
    envelope: Envelope
    """With the recipients of this unit."""
    origin: str
    content_id: int | None
    size_octets: int
    arrived_at: datetime
    recipients: tuple[DueRecipient, ...]
    is_bulk: bool = False

    @property
    def domain(self) -> str:
        """The domain of the first recipient: where to, when nothing else routes it."""
        return self.recipients[0].recipient.address.domain

    @property
    def is_urgent(self) -> bool:
        """Whether an administrator asked for any of it."""
        return any(due.is_urgent for due in self.recipients)


@dataclass(frozen=True, slots=True)
class Claimed:
    """Units to try, and the lanes of domains that have no more than what is in them."""

    units: list[Unit] = field(default_factory=list)
    exhausted: set[Due] = field(default_factory=set)


def due_domains(connection: Connection, now: int, after: str | None) -> tuple[list[Due], str | None]:
    """The lanes of domains with due mail, beyond `after`, and where the walk goes on; None = it came to its end."""
    values: dict[str, Any] = {"now": now, "most": WALK_DOMAINS}
    if after is None:
        rows = connection.execute(_WALK_FIRST, values).all()
    else:
        rows = connection.execute(_WALK_ON, values | {"after": after}).all()
    last = next((row.domain for row in rows if row.step == WALK_DOMAINS), None)
    people = [Due(row.domain) for row in rows if row.has_people]
    return people + [Due(row.domain, is_bulk=True) for row in rows if row.has_bulk], last


_COLUMNS: tuple[Column[Any], ...] = (
    delivery.c.id,
    delivery.c.message_id,
    delivery.c.recipient,
    delivery.c.domain,
    delivery.c.is_bulk,
    delivery.c.notify,
    delivery.c.orcpt,
    delivery.c.attempts,
    delivery.c.next_attempt_at,
    delivery.c.leased_until,
    delivery.c.delay_told,
    delivery.c.last_reply,
    delivery.c.created_at,
)
_now = bindparam("now", type_=BigInteger)
_CLAIMABLE = (
    select(*_COLUMNS)
    .where(
        _IS_WAITING,
        delivery.c.next_attempt_at <= _now,
        func.coalesce(delivery.c.leased_until, 0) <= _now,
        or_(
            delivery.c.attempts == 0,
            delivery.c.next_attempt_at > bindparam("started", type_=BigInteger),
            delivery.c.leased_until == 0,
            delivery.c.id % SPREAD_SECONDS <= bindparam("elapsed", type_=BigInteger),
        ),
    )
    .with_for_update(skip_locked=True)
)
_HEADS = (
    _CLAIMABLE.where(delivery.c.domain == bindparam("domain"), delivery.c.is_bulk == bindparam("is_bulk"))
    .order_by(delivery.c.next_attempt_at)  # and no more: the index has this order, a sort would read the backlog
    .limit(bindparam("most", type_=BigInteger))
)
_REST_OF_MESSAGE = (
    _CLAIMABLE.where(delivery.c.message_id == bindparam("message"), delivery.c.domain == bindparam("domain"))
    .order_by(delivery.c.id)
    .limit(UNIT_RECIPIENTS)
)
_OTHER_DOMAINS = (
    _CLAIMABLE.where(delivery.c.message_id.in_(bindparam("messages", expanding=True)))
    .order_by(delivery.c.message_id, delivery.c.id)
    .limit(bindparam("most", type_=BigInteger))
)
_MESSAGES = select(message).where(message.c.id.in_(bindparam("ids", expanding=True)))
_TAKE = (
    "UPDATE delivery SET attempts = attempts + 1, next_attempt_at = given.retry_at, leased_until = given.lease"
    " FROM given WHERE delivery.id = given.taken"
)


def claim(connection: Connection, wants: Sequence[Want], terms: Terms) -> Claimed:
    """Take due deliveries, grouped into units; each is leased and has its next attempt written.

    A message that is sent to several domains of one destination (a smarthost, a next hop) comes as one unit.
    """
    values = {
        "now": terms.now,
        "started": terms.started,
        "elapsed": (terms.now - terms.started) // 1_000_000,
    }
    exhausted: set[Due] = set()
    rows: dict[int, tuple[str, Row[Any]]] = {}
    for want in wants:
        lane = {"domain": want.domain, "is_bulk": want.is_bulk}
        heads = connection.execute(_HEADS, values | lane | {"most": want.deliveries}).all()
        for row in _complete(connection, want, heads, values, terms):
            rows.setdefault(row.id, (want.key, row))
        if len(heads) < want.deliveries and all(row.id in rows for row in heads):
            exhausted.add(want.due)
    groups: dict[tuple[str, str], list[Row[Any]]] = {}
    for key, row in rows.values():
        groups.setdefault((key, row.message_id), []).append(row)
    return Claimed(_take(connection, groups, terms), exhausted)


def _complete(
    connection: Connection, want: Want, heads: Sequence[Row[Any]], values: dict[str, Any], terms: Terms
) -> list[Row[Any]]:
    """The rows found, and what belongs into the same transactions."""
    if not want.is_shared:
        if len(heads) < want.deliveries:
            return list(heads)
        last = values | {"domain": want.domain, "message": heads[-1].message_id}
        return [*heads, *connection.execute(_REST_OF_MESSAGE, last)]
    rows: dict[int, Row[Any]] = {}
    queue_ids = list(dict.fromkeys(row.message_id for row in heads))
    for start in range(0, len(queue_ids), MESSAGES_TOGETHER):
        if len(rows) >= want.deliveries:
            break  # what is left stays due: a message of a thousand domains fills a claim by itself
        some = queue_ids[start : start + MESSAGES_TOGETHER]
        found = connection.execute(_OTHER_DOMAINS, values | {"messages": some, "most": COMPANIONS_MOST})
        rows |= {row.id: row for row in heads if row.message_id in some}
        rows |= {row.id: row for row in found if terms.key_of(row.domain) == want.key}
    return list(rows.values())


def _take(connection: Connection, groups: dict[tuple[str, str], list[Row[Any]]], terms: Terms) -> list[Unit]:
    if not groups:
        return []
    ids = {queue_id for _, queue_id in groups}
    messages = {row.id: row for row in connection.execute(_MESSAGES, {"ids": list(ids)})}
    units: list[Unit] = []
    taken: list[dict[str, int]] = []
    for (key, queue_id), rows in groups.items():
        for start in range(0, len(rows), UNIT_RECIPIENTS):
            chunk = rows[start : start + UNIT_RECIPIENTS]
            # One moment for all that go together, so that they come back together.
            oldest = min(chunk, key=lambda row: row.created_at)
            retry_at = terms.retry_at(min(row.attempts for row in chunk) + 1, oldest.created_at)
            units.append(_unit(key, messages[queue_id], chunk, retry_at))
            taken += [{"taken": row.id, "retry_at": retry_at, "lease": terms.leased_until} for row in chunk]
    change_rows(connection, _TAKE, taken)
    return units


def _unit(key: str, row: Row[Any], rows: Sequence[Row[Any]], retry_at: int) -> Unit:
    recipients = tuple(_due(found, retry_at) for found in rows)
    envelope = Envelope(
        reverse_path=read_address(row.reverse_path),
        recipients=[due.recipient for due in recipients],
        body=Body(row.body),
        smtputf8=row.smtputf8,
        size_octets=row.size_octets,
        ret=Ret(row.ret) if row.ret else None,
        envid=row.envid,
    )
    arrived_at = from_micros(row.created_at)
    is_bulk = all(found.is_bulk for found in rows)
    return Unit(key, row.id, envelope, row.origin, row.content_id, row.size_octets, arrived_at, recipients, is_bulk)


def _due(row: Row[Any], retry_at: int) -> DueRecipient:
    return DueRecipient(
        delivery_id=row.id,
        recipient=Recipient(read_address(row.recipient), None if row.notify is None else Notify(row.notify), row.orcpt),
        attempts=row.attempts + 1,
        due_at=row.next_attempt_at,
        retry_at=retry_at,
        created_at=from_micros(row.created_at),
        is_delay_told=row.delay_told,
        last_reply=row.last_reply,
        is_urgent=row.leased_until == 0,
    )


@lru_cache(maxsize=4096)
def read_address(text: str) -> Address:
    """An address as it was stored; what was accepted once is never lost to a stricter reading."""
    try:
        return parse_address(text)
    except AddressError:
        local, at, domain = text.rpartition("@")
        return Address(local, domain) if at else Address(text, "")
