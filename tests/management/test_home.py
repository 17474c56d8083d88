"""The first page's facts: what needs attention for whom, and the bars of the pictures."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from mailstack.management import accounts, domains, home, queue
from mailstack.management.actor import Actor
from mailstack.management.domains import DomainTerms
from mailstack.management.home import Attention, Over
from mailstack.store import schema
from mailstack.store.backup_runs import BackupRun, remember_run
from mailstack.store.database import Connection, Database
from mailstack.store.passwords import PasswordHashes
from mailstack.store.schema import micros
from mailstack.store.tally import HOUR_MICROS
from tests.store.spooled import put_message

NOW = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
ROOT = Actor("root", "192.0.2.1", all_domains=True)
OLGA = Actor("olga", "192.0.2.1", domains=frozenset({"example.test"}))
SVEN = Actor("sven", "192.0.2.1", domains=frozenset({"other.test"}))


def seen(database: Database, actor: Actor) -> list[Attention]:
    def look(connection: Connection) -> list[Attention]:
        return home.attention(connection, actor, queue.backlogs(connection, actor), NOW)

    return database.read_now(look)


@pytest.fixture
def host(each_database: Database) -> Database:
    def fill(connection: Connection) -> None:
        for name in ("example.test", "other.test"):
            domains.add(connection, ROOT, name, DomainTerms())
        for local in ("ann", "ben", "cat"):
            accounts.add(connection, ROOT, f"{local}@example.test", PasswordHashes("hash", "scram"), 1000)
        remember_run(connection, BackupRun(micros(NOW - timedelta(hours=47)), "/backups/1", 1000))

    each_database.write_now(fill)
    return each_database


def test_a_new_host_needs_a_domain(database: Database) -> None:
    assert [one.what for one in seen(database, ROOT)] == ["There is no domain yet: no mail is taken"]
    assert seen(database, OLGA) == []


def test_all_is_well(host: Database) -> None:
    assert [seen(host, actor) for actor in (ROOT, OLGA, SVEN)] == [[], [], []]


def test_a_backup_that_is_old(host: Database) -> None:
    def fail(connection: Connection) -> None:
        remember_run(connection, BackupRun(micros(NOW), "/backups/2", None, "the disk is full"))

    host.write_now(fail)
    assert seen(host, ROOT) == []
    for age, words in ((timedelta(days=2), "2 days"), (timedelta(days=9, hours=23), "9 days")):
        old = BackupRun(micros(NOW - age), "/backups/1", 1000)
        host.write_now(lambda connection, run=old: (remember_run(connection, run), fail(connection)))
        [one] = seen(host, ROOT)
        assert (one.what, one.words) == (f"The last backup is {words} old", "the disk is full")
        assert seen(host, OLGA) == []


def test_a_backup_that_was_never_made(database: Database) -> None:
    database.write_now(lambda connection: domains.add(connection, ROOT, "example.test", DomainTerms()))
    [one] = seen(database, ROOT)
    assert one.what == "No backup was ever made"
    assert "mailstack backup FILE" in one.mend


def test_what_needs_attention_and_for_whom(host: Database) -> None:
    def spoil(connection: Connection) -> None:
        for number, octets in ((1, 950), (2, 1000), (3, 899)):
            of = schema.mailbox.c.account_id == number
            connection.execute(update(schema.mailbox).where(of).values(used_octets=octets))
        frozen = {"frozen_at": micros(NOW), "frozen_why": "300 first-time recipients in an hour"}
        connection.execute(update(schema.account).where(schema.account.c.local_part == "ann").values(frozen))
        old = micros(NOW - timedelta(hours=5))
        said = {"last_reply": "451 4.7.1 greylisted", "reverse_path": "ann@example.test", "submitter_id": 1}
        put_message(connection, "Q1", ["x@far.test"], at=old, **said)
        put_message(connection, "Q2", ["x@near.test"], at=micros(NOW - timedelta(hours=3)), **said)
        held = {"state": "held", "held_by": "administrator", "reverse_path": "ann@example.test", "submitter_id": 1}
        put_message(connection, "Q3", ["x@near.test"], **held)

    host.write_now(spoil)
    expected = [
        ("ann@example.test is frozen: 300 first-time recipients in an hour", True),
        ("The mailbox of ben@example.test is full; mail to it is refused", True),
        ("1 delivery is held", False),
        ("Mail to far.test does not get through", False),
        ("The mailbox of ann@example.test is 95 % full", False),
    ]
    stuck = seen(host, ROOT)[3]
    assert (stuck.words, stuck.of) == ("451 4.7.1 greylisted", "far.test")
    assert stuck.mend.startswith("Nothing to do")
    for actor in (ROOT, OLGA):
        assert [(one.what, one.is_urgent) for one in seen(host, actor)] == expected
    assert seen(host, SVEN) == []


def test_bars(host: Database) -> None:
    hour = micros(NOW) // HOUR_MICROS

    def count(connection: Connection) -> None:
        for ago, domain_id, event, number in (
            (0, 1, "accepted", 5),
            (23, 1, "accepted", 7),
            (24, 1, "accepted", 11),
            (0, 0, "accepted", 100),
            (1, 1, "failed", 2),
            (1, 1, "expired", 3),
        ):
            row = {"hour": hour - ago, "domain_id": domain_id, "event": event, "number": number}
            connection.execute(insert(schema.tally).values(row))

    host.write_now(count)

    def drawn(actor: Actor, over: Over) -> dict[str, list[int]]:
        found = host.read_now(lambda connection: home.pictures(connection, actor, over, NOW))
        return {one.name: list(one.numbers) for one in found}

    day = drawn(ROOT, Over.DAY)
    assert (day["accepted"][0], day["accepted"][-1], sum(day["accepted"])) == (7, 105, 112)
    assert day["failed"][-2:] == [5, 0]
    assert sum(drawn(OLGA, Over.DAY)["accepted"]) == 12, "not what came from outside"
    assert sum(drawn(SVEN, Over.DAY)["accepted"]) == 0
    assert drawn(ROOT, Over.WEEK)["accepted"][-1] == 105
    assert drawn(ROOT, Over.WEEK)["accepted"][-5:-3] == [11, 7]
    assert len(drawn(ROOT, Over.MONTH)["accepted"]) == 30
