"""Mail put straight into the spool's tables, and the terms that tests claim it on."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from mailstack.store import claims, schema
from mailstack.store.claims import Claimed, Terms, Want
from mailstack.store.schema import content, delivery, message, micros

START = micros(datetime(2026, 5, 1, 12, tzinfo=UTC))
SECOND = 1_000_000
STEP = 120 * SECOND
LEASE = 300 * SECOND


def put_message(
    connection: Connection,
    queue_id: str,
    recipients: list[str],
    *,
    body: bytes = b"Subject: x\r\n\r\nbody\r\n",
    at: int = START,
    **values: Any,
) -> list[int]:
    """A message with a delivery for each recipient; `values` go to the message or to the deliveries. Their numbers."""
    content_id = connection.execute(insert(content).values(size_octets=len(body), body=body)).inserted_primary_key[0]
    row = {
        "id": queue_id,
        "origin": "submission",
        "reverse_path": "alice@example.org",
        "content_id": content_id,
        "size_octets": len(body),
        "body": "7BIT",
        "smtputf8": False,
        "created_at": at,
    }
    of_message = {key: values.pop(key) for key in list(values) if key in message.c and key not in delivery.c}
    connection.execute(insert(message).values(row | of_message))
    numbers = []
    for recipient in recipients:
        one = {
            "message_id": queue_id,
            "recipient": recipient,
            "domain": recipient.rpartition("@")[2],
            "next_attempt_at": at,
            "created_at": at,
        }
        numbers.append(connection.execute(insert(delivery).values(one | values)).inserted_primary_key[0])
    return numbers


def terms(now: int = START, *, started: int = START - 3600 * SECOND, smarthost: bool = False) -> Terms:
    return Terms(
        now=now,
        leased_until=now + LEASE,
        started=started,
        retry_at=lambda attempts, created_at: now + STEP * attempts,
        key_of=lambda domain: "smarthost" if smarthost else domain,
    )


def claim(connection: Connection, *domains: str, now: int = START, most: int = 100, **of_terms: Any) -> Claimed:
    said = terms(now, **of_terms)
    return claims.claim(
        connection, [Want(domain, said.key_of(domain), most, said.key_of(domain) != domain) for domain in domains], said
    )


def rows(connection: Connection) -> dict[str, Any]:
    """All deliveries by recipient."""
    return {row.recipient: row for row in connection.execute(select(delivery).order_by(delivery.c.id))}


def events(connection: Connection) -> list[tuple[str, str, str]]:
    found = select(schema.event).order_by(schema.event.c.id)
    return [(row.event, row.recipient, row.detail) for row in connection.execute(found)]
