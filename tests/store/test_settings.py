"""Secrets of the host: made once, the same for all who ask."""

from sqlalchemy import select

from mailstack.store.database import Database
from mailstack.store.schema import setting
from mailstack.store.settings import find_setting, lasting_secret, prove_writable, put_setting


def test_a_secret_is_made_once(each_database: Database) -> None:
    first = each_database.write_now(lambda connection: lasting_secret(connection, "a"))
    assert len(first) >= 32
    assert each_database.write_now(lambda connection: lasting_secret(connection, "a")) == first
    assert each_database.write_now(lambda connection: lasting_secret(connection, "b")) != first


def test_who_comes_second_at_the_same_moment_takes_the_first_ones(each_database: Database, monkeypatch) -> None:
    first = each_database.write_now(lambda connection: lasting_secret(connection, "a"))
    answers = iter([None])  # the look before another node's commit
    real = find_setting
    monkeypatch.setattr(
        "mailstack.store.settings.find_setting", lambda connection, name: next(answers, real(connection, name))
    )
    assert each_database.write_now(lambda connection: lasting_secret(connection, "a")) == first


def test_a_setting_takes_the_place_of_the_one_before(each_database: Database) -> None:
    for value in ("1", "2"):
        each_database.write_now(lambda connection, value=value: put_setting(connection, "a", value))
    assert each_database.read_now(lambda connection: find_setting(connection, "a")) == "2"
    assert each_database.read_now(lambda connection: find_setting(connection, "none")) is None


def test_the_proof_that_it_can_be_written_leaves_nothing_behind(each_database: Database) -> None:
    each_database.write_now(prove_writable)
    assert each_database.read_now(lambda connection: connection.execute(select(setting)).all()) == []
