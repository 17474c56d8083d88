"""Up from each released revision with data in the tables: nothing is lost, and what is new has its sense at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, inspect, text

from mailstack.store import migrate
from mailstack.store.database import Database
from mailstack.store.directory import load_directory
from mailstack.store.engine import parse_url, writer_engine
from mailstack.store.known_recipients import known_among
from tests.store.letters import is_anything_held

AT = 1_790_000_000_000_000
OLD = (
    f"INSERT INTO domain (id, name, kind, created_at) VALUES (1, 'example.test', 'local', {AT})",
    f"INSERT INTO account (id, domain_id, local_part, state, created_at) VALUES (1, 1, 'ann', 'active', {AT}),"
    f" (2, 1, 'bob', 'suspended', {AT})",
    "INSERT INTO limit_rule (id, scope, per, messages, recipients, over) VALUES (1, '*', 'hour', NULL, 200, 'refuse'),"
    " (7, 'ann@example.test', 'day', 5, NULL, 'hold')",
    "INSERT INTO usage (account_id, second, domain_id, messages, recipients) VALUES (1, 1790000000, 1, 2, 9)",
    "INSERT INTO content (id, size_octets, body) VALUES (1, 3, :body)",
    "INSERT INTO message (id, origin, reverse_path, submitter_id, content_id, size_octets, body, smtputf8, created_at)"
    f" VALUES ('M1', 'submission', 'ann@example.test', 1, 1, 3, '7BIT', false, {AT}),"
    f" ('M2', 'inbound', 'x@far.test', NULL, 1, 3, '7BIT', false, {AT})",
    "INSERT INTO delivery (id, message_id, recipient, domain, state, held_by, next_attempt_at, created_at) VALUES"
    f" (1, 'M1', 'Waits@far.test', 'far.test', 'waiting', NULL, {AT}, {AT}),"
    f" (2, 'M1', 'held@far.test', 'far.test', 'held', 'limit: 5 messages per day for ann@example.test', {AT}, {AT}),"
    f" (3, 'M1', 'stopped@far.test', 'far.test', 'held', 'administrator', {AT}, {AT})",
    "INSERT INTO event (message_id, at, event, recipient, detail) VALUES"
    f" ('M1', {AT}, 'accepted', '', ''), ('M1', {AT}, 'delivered', 'bob@example.test', ''),"
    f" ('M2', {AT}, 'delivered', 'ann@example.test', '')",
    "INSERT INTO mailbox (account_id, used_octets, used_messages) VALUES (1, 3, 1)",
    "INSERT INTO maildrop_entry (account_id, content_id, unique_id, prefix, size_octets, received_at)"
    f" VALUES (1, 1, 'M2', :body, 3, {AT})",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database at the first revision, with a row or more in each table that later ones change."""
    if request.param == "sqlite":
        url, drop = f"sqlite:///{tmp_path}/old.db", None
    else:
        server = request.getfixturevalue("postgres_server")
        url, drop = server.make_database(), server.drop_database
    engine = writer_engine(parse_url(url, Path()))
    with engine.begin() as connection:
        command.upgrade(migrate._alembic_config(connection), "0001")
        for statement in OLD:
            connection.execute(text(statement), {"body": b"abc"} if ":body" in statement else {})
    engine.dispose()
    yield url
    if drop is not None:
        drop(url)


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(text(query))]


def test_data_of_the_first_revision_is_kept(old_url: str, tmp_path: Path) -> None:
    assert migrate.current(old_url) == "0001"
    migrate.upgrade(old_url)
    assert migrate.current(old_url) == migrate.head()
    database = Database.open(old_url, tmp_path)

    def look(connection: Connection) -> None:
        assert rows(connection, "SELECT scope, per, messages, recipients, first_time, over FROM limit_rule") == [
            ("*", "hour", None, 200, None, "refuse"),
            ("ann@example.test", "day", 5, None, None, "hold"),
        ]
        assert rows(connection, "SELECT account_id, messages, recipients, first_time FROM usage") == [(1, 2, 9, 0)]
        deliveries = "SELECT recipient, state, held_by, held_for, attempts FROM delivery ORDER BY id"
        assert rows(connection, deliveries) == [
            ("Waits@far.test", "waiting", None, None, 0),
            ("held@far.test", "held", "limit: 5 messages per day for ann@example.test", 1, 0),
            ("stopped@far.test", "held", "administrator", None, 0),
        ]
        assert rows(connection, "SELECT is_bulk FROM delivery WHERE is_bulk") == []
        assert len(rows(connection, "SELECT id FROM event")) == 3
        assert rows(connection, "SELECT unique_id FROM maildrop_entry") == [("M2",)]
        directory = load_directory(connection)
        assert directory is not None
        assert len(directory.limit_rules) == 2
        assert [directory.account_by_id(number).frozen_why for number in (1, 2)] == [None, None]  # type: ignore[union-attr]
        assert is_anything_held(connection)

    database.read_now(look)
    database.close()


def test_old_friends_are_no_first_time_recipients(old_url: str, tmp_path: Path) -> None:
    migrate.upgrade(old_url)
    database = Database.open(old_url, tmp_path)
    everybody = {"waits@far.test", "held@far.test", "stopped@far.test", "bob@example.test"}
    asked = {*everybody, "stranger@far.test", "ann@example.test"}
    assert database.read_now(lambda connection: known_among(connection, 1, asked)) == everybody
    assert database.read_now(lambda connection: known_among(connection, 2, asked)) == set()
    database.close()


def test_a_new_rule_of_an_upgraded_host_gets_a_new_number(old_url: str, tmp_path: Path) -> None:
    migrate.upgrade(old_url)
    database = Database.open(old_url, tmp_path)
    add = "INSERT INTO limit_rule (scope, per, recipients, over) VALUES ('*', 'day', 9, 'refuse')"
    database.write_now(lambda connection: connection.execute(text(add)))
    numbers = database.read_now(lambda connection: rows(connection, "SELECT id FROM limit_rule"))
    assert len(set(numbers)) == 3
    database.close()


def columns(engine: Engine) -> dict[tuple[str, str], bool]:
    """Each column of each table, and whether a row may leave it out."""
    seen = inspect(engine)
    return {
        (table, column["name"]): bool(column["nullable"] or column["default"] is not None)
        for table in seen.get_table_names()
        for column in seen.get_columns(table)
    }


def test_the_release_before_goes_on_with_the_new_tables(old_url: str) -> None:
    """An upgrade can be gone back on: the program of before reads and writes on, beside what it does not know."""
    engine = writer_engine(parse_url(old_url, Path()))
    before = columns(engine)
    migrate.upgrade(old_url)
    after = columns(engine)
    assert before.keys() <= after.keys()
    old_tables = {table for table, _ in before}
    new = {key: optional for key, optional in after.items() if key[0] in old_tables and key not in before}
    assert [key for key, optional in new.items() if not optional] == []
    assert [key for key, optional in before.items() if optional and not after[key]] == []
    with engine.begin() as connection:
        written = list(dict.fromkeys(statement.split()[2] for statement in OLD))
        for table in ("known_recipient", *reversed(written)):
            connection.execute(text(f"DELETE FROM {table}"))
        for statement in OLD:
            connection.execute(text(statement), {"body": b"abc"} if ":body" in statement else {})
        for table in sorted(old_tables):
            names = ", ".join(column for name, column in before if name == table)
            connection.execute(text(f"SELECT {names} FROM {table}"))
    engine.dispose()
