"""Who is answered while an account is away: each sender once a week, and nobody once the reply is taken back."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, delete, insert, select

from mailstack.store import schema
from mailstack.store.absences import begin_answer, content_of, forget_answers
from mailstack.store.database import Database
from tests.store.rows import add_account, add_domain

WEEK = timedelta(days=7) // timedelta(microseconds=1)
SAM = "sam@far.test"


@pytest.fixture
def host(each_database: Database) -> Database:
    def fill(connection: Connection) -> None:
        add_domain(connection, "example.org")
        ann = add_account(connection, "ann@example.org")
        connection.execute(insert(schema.vacation).values(account_id=ann, subject="Away", body="Back soon."))

    each_database.write_now(fill)
    return each_database


def begin(host: Database, sender: str, now: int) -> tuple[str, str] | None:
    return host.write_now(lambda connection: begin_answer(connection, 1, sender, now, now - WEEK))


def test_a_sender_is_answered_once_a_week(host: Database) -> None:
    now = 10 * WEEK
    assert begin(host, SAM, now) == ("Away", "Back soon.")
    assert begin(host, SAM, now + WEEK - 1) is None
    assert begin(host, "eve@far.test", now) is not None
    assert begin(host, SAM, now + WEEK) is not None
    assert begin(host, SAM, now + WEEK + 1) is None


def test_a_reply_that_was_taken_back_answers_nobody(host: Database) -> None:
    host.write_now(lambda connection: connection.execute(delete(schema.vacation)))
    assert begin(host, SAM, WEEK) is None


def test_old_answers_are_forgotten(host: Database) -> None:
    begin(host, SAM, 5)
    begin(host, "eve@far.test", 9)
    host.write_now(lambda connection: forget_answers(connection, 9))
    left = host.read_now(lambda connection: connection.scalars(select(schema.vacation_sent.c.address)).all())
    assert left == ["eve@far.test"]


def test_content_that_is_gone(host: Database) -> None:
    assert host.read_now(lambda connection: content_of(connection, "none")) is None
