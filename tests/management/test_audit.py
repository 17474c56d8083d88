"""Who may read what of the audit log, and how it is narrowed and paged, on both databases."""

import pytest

from mailstack.management import audit
from mailstack.management.actor import Actor, record
from mailstack.management.audit import Wanted
from mailstack.store.database import Connection, Database

ROOT = Actor("root", "192.0.2.1", all_domains=True)
OLGA = Actor("olga", "192.0.2.2", domains=frozenset({"example.test"}))
ANN = Actor("ann@example.test", "192.0.2.3", account="ann@example.test")
EVERYTHING = Wanted()
DEEDS = (
    (ROOT, "domain.add", "example.test", ""),
    (ROOT, "domain.add", "my_example.test", ""),
    (OLGA, "account.add", "ann@example.test", "quota=1000"),
    (ROOT, "account.add", "eve@my_example.test", ""),
    (OLGA, "account.add", "ben@example.test", ""),
    (ROOT, "account.quota", "ann@example.test", "none"),
    (ANN, "sign-in", "ann@example.test", ""),
    (OLGA, "queue.drop", "5 deliveries", "x@far.test"),
)


@pytest.fixture
def log(each_database: Database) -> Database:
    def fill(connection: Connection) -> None:
        for actor, act, of, detail in DEEDS:
            record(connection, actor, act, of, detail)

    each_database.write_now(fill)
    return each_database


def read(log: Database, actor: Actor, wanted: Wanted = EVERYTHING, **where: int) -> list[int]:
    found = log.read_now(lambda connection: audit.find(connection, actor, wanted, **where))
    return [one.id for one in found]


def test_who_reads_what(log: Database) -> None:
    assert read(log, ROOT) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert read(log, OLGA) == [8, 7, 6, 5, 3, 1]
    assert read(log, ANN) == [7, 6, 3]
    assert read(log, Actor("sven", "192.0.2.4", domains=frozenset({"other.test"}))) == []


def test_narrowed_and_paged(log: Database) -> None:
    assert read(log, ROOT, Wanted(who="OLGA")) == [8, 5, 3]
    assert read(log, ROOT, Wanted(who="192.0.2.3")) == [7]
    assert read(log, ROOT, Wanted(what="account")) == [6, 5, 4, 3]
    assert read(log, ROOT, Wanted(about="quota=")) == [3]
    assert read(log, ROOT, Wanted("olga", "account", "ann@")) == [3]
    assert read(log, ROOT, limit=3) == [8, 7, 6]
    assert read(log, ROOT, after=6, limit=3) == [5, 4, 3]
