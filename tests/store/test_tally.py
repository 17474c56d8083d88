"""The tally: each settled event is counted once, by the hour and by the sender's domain, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
import pytest_twisted
from sqlalchemy import insert, select

from mailstack.store import schema, tally
from mailstack.store.database import Connection, Database
from mailstack.store.schema import micros
from mailstack.store.tally import HOUR_MICROS, add_sums, catch_up, read_counts, sum_new
from mailstack.store.timeline import event_row, record_events
from tests.store.letters import add_account
from tests.store.spooled import put_message

NOW = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
HOUR = micros(NOW) // HOUR_MICROS


def put_events(connection: Connection, ago: timedelta, *names: str, queue_id: str = "Q1") -> None:
    at = micros(NOW - ago)
    record_events(connection, [event_row(queue_id, at, name, "", "") for name in names])


def counts(database: Database, domain_ids: list[int] | None = None) -> dict[tuple[int, str], int]:
    found = database.read_now(lambda connection: read_counts(connection, HOUR - 48, domain_ids))
    return {(one.hour - HOUR, one.event): one.number for one in found}


@pytest.fixture
def host(each_database: Database) -> Database:
    def fill(connection: Connection) -> None:
        account_id = add_account(connection)
        put_message(connection, "Q1", [])
        put_message(connection, "Q2", [], submitter_id=account_id)

    each_database.write_now(fill)
    return each_database


@pytest_twisted.ensureDeferred
async def test_each_settled_event_is_counted_once(host: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "BATCH", 2)
    hours = timedelta(hours=1)
    host.write_now(lambda connection: put_events(connection, 2 * hours, "accepted", "delivered", "attempt"))
    host.write_now(lambda connection: put_events(connection, hours, "accepted", "expired", queue_id="Q2"))
    host.write_now(lambda connection: put_events(connection, timedelta(seconds=1), "accepted"))
    await catch_up(host, NOW)
    await catch_up(host, NOW)
    assert counts(host) == {(-2, "accepted"): 1, (-2, "delivered"): 1, (-1, "accepted"): 1, (-1, "expired"): 1}
    domain_id = host.read_now(lambda connection: connection.scalar(select(schema.domain.c.id)))
    assert counts(host, [domain_id or 0]) == {(-1, "accepted"): 1, (-1, "expired"): 1}
    assert counts(host, []) == {}
    await catch_up(host, NOW + timedelta(minutes=2))
    assert counts(host)[0, "accepted"] == 1


def test_what_another_node_has_counted_is_not_added(host: Database) -> None:
    host.write_now(lambda connection: put_events(connection, timedelta(hours=1), "accepted"))
    host.write_now(lambda connection: connection.execute(insert(schema.setting).values(name=tally._MARK, value="0")))
    sums = host.read_now(lambda connection: sum_new(connection, NOW))
    assert sums is not None
    assert host.write_now(lambda connection: add_sums(connection, sums))
    assert not host.write_now(lambda connection: add_sums(connection, sums))
    assert counts(host) == {(-1, "accepted"): 1}


def test_an_event_still_open_is_not_passed_by(host: Database) -> None:
    """A younger event with a smaller number stops the count, for what is behind it may not be all there."""
    host.write_now(lambda connection: put_events(connection, timedelta(seconds=1), "accepted"))
    host.write_now(lambda connection: put_events(connection, timedelta(hours=1), "accepted"))
    assert host.read_now(lambda connection: sum_new(connection, NOW)) is None


@pytest_twisted.ensureDeferred
async def test_old_counts_are_forgotten(host: Database) -> None:
    old = micros(NOW - timedelta(days=401)) // HOUR_MICROS
    row = {"hour": old, "domain_id": 0, "event": "accepted", "number": 5}
    host.write_now(lambda connection: connection.execute(insert(schema.tally).values(row)))
    await catch_up(host, NOW)
    assert host.read_now(lambda connection: connection.execute(select(schema.tally)).all()) == []
