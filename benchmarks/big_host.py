"""A host that has grown: tens of thousands of accounts, a long queue with its timelines, counts of what was sent.

Filled straight into the tables, for accepting so much mail would take longer than any measure of it. Neighbours:
`benchmarks/panel_load.py` and tests of the panel load pages of it.
"""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from mailstack.mail.queue_id import make_queue_id
from mailstack.management.acts import make_hashes
from mailstack.store.directory import bump_version
from mailstack.store.schema import (
    account,
    content,
    credential,
    delivery,
    domain,
    event,
    mailbox,
    message,
    micros,
    usage,
)

BATCH = 5_000
RECIPIENTS_PER_MESSAGE = 4
SECOND = 1_000_000
Row = dict[str, Any]


def fill(
    connection: Connection, *, accounts: int = 50_000, deliveries: int = 100_000, domains: int = 100, password: str
) -> None:
    """Fill a database at head that has no accounts yet; every account gets the same password."""
    chance = random.Random(4711)
    now = micros(datetime.now(UTC))
    names = [f"d{number:03}.example" for number in range(domains)]
    _insert(connection, domain, ({"name": name, "kind": "local", "created_at": now} for name in names))
    domain_ids = list(connection.scalars(select(domain.c.id).where(domain.c.name.in_(names)).order_by(domain.c.name)))
    people = [
        {"domain_id": domain_ids[number % domains], "local_part": f"person{number:05}", "created_at": now}
        for number in range(accounts)
    ]
    _insert(connection, account, people)
    found = connection.execute(
        select(account.c.id, account.c.domain_id, account.c.local_part, domain.c.name)
        .join(domain)
        .order_by(account.c.id)
    ).all()
    hashes = make_hashes(password)
    _insert(
        connection,
        credential,
        (
            {"account_id": row.id, "kind": "password", "hash": hashes.hash, "scram": hashes.scram, "created_at": now}
            for row in found
        ),
    )
    _insert(
        connection,
        mailbox,
        (
            {"account_id": row.id, "used_octets": chance.randrange(1 << 30), "used_messages": chance.randrange(5000)}
            for row in found
        ),
    )
    _fill_queue(connection, found, deliveries, now, chance)
    _insert(
        connection,
        usage,
        (
            {
                "account_id": row.id,
                "domain_id": row.domain_id,
                "second": now // SECOND - chance.randrange(86_400),
                "messages": 1,
                "recipients": chance.randrange(1, 50),
            }
            for row in islice(found, 20_000)
        ),
    )
    bump_version(connection)


def _fill_queue(connection: Connection, people: list[Any], deliveries: int, now: int, chance: random.Random) -> None:
    messages = max(1, deliveries // RECIPIENTS_PER_MESSAGE)
    body = b"Subject: a letter\r\n\r\nGood day.\r\n"
    letters, contents, waiting, events = [], [], [], []
    for number in range(messages):
        submitter = people[chance.randrange(len(people))]
        at = now - chance.randrange(4 * 86_400) * SECOND
        queue_id = make_queue_id(at / SECOND, chance.getrandbits(25))
        contents.append({"id": number + 1, "size_octets": len(body), "body": body})
        letters.append(
            {
                "id": queue_id,
                "origin": "submission",
                "reverse_path": f"{submitter.local_part}@{submitter.name}",
                "submitter_id": submitter.id,
                "content_id": number + 1,
                "size_octets": len(body),
                "header_message_id": f"{number}@bench.example",
                "body": "7BIT",
                "smtputf8": False,
                "created_at": at,
            }
        )
        events.append(_event(queue_id, at, "accepted", "", "from 192.0.2.1"))
        for _ in range(RECIPIENTS_PER_MESSAGE):
            where = f"far{chance.randrange(500):03}.example"
            recipient = f"someone{chance.randrange(10_000)}@{where}"
            is_held = chance.random() < 0.05
            waiting.append(
                {
                    "message_id": queue_id,
                    "recipient": recipient,
                    "domain": where,
                    "created_at": at,
                    "state": "held" if is_held else "waiting",
                    "attempts": 0 if is_held else 3,
                    "held_by": "limit: 200 recipients per hour for every account" if is_held else None,
                    "held_for": submitter.id if is_held else None,
                    "next_attempt_at": now + chance.randrange(3600, 14_400) * SECOND,
                    "last_reply": "" if is_held else "450 4.2.1 the mailbox is busy, try again later",
                }
            )
            events.append(_event(queue_id, at, "held" if is_held else "deferred", recipient, "450 4.2.1 busy"))
    for table, rows in ((content, contents), (message, letters), (delivery, waiting), (event, events)):
        _insert(connection, table, rows)


def _event(queue_id: str, at: int, name: str, recipient: str, detail: str) -> Row:
    return {"message_id": queue_id, "at": at, "event": name, "recipient": recipient, "detail": detail}


def _insert(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    for batch in _batches(iter(rows)):
        connection.execute(insert(table), batch)


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, BATCH)):
        yield batch
