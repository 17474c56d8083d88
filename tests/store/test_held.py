"""What a limit held leaves by itself, oldest first, exactly as fast as the limit allows."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from mailstack.policy.limits import Rule
from mailstack.store import held, schema
from mailstack.store.acceptance import accept_many
from mailstack.store.database import Database
from tests.store.letters import NOW, SECOND, add_account, is_anything_held, letter, release, remote, rule, submitter

HOUR = 3601 * SECOND


def submit(connection: Connection, account_id: int, name: str, recipients: int, *rules: Rule, at: int = NOW) -> None:
    copies = [remote(f"{name}{number}@far.test") for number in range(recipients)]
    accept_many(connection, [letter(f"M{name}", *copies, submitter=submitter(account_id, *rules), created_at=at)])


def test_recipients_leave_as_the_window_frees(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann, limit = add_account(connection), rule(2)
        submit(connection, ann, "a", 5, limit)
        assert is_anything_held(connection)
        assert release(connection, lambda _: [limit], NOW + HOUR - SECOND) == []
        released = release(connection, lambda _: [limit], NOW + HOUR)
        assert [x.recipient for x in released] == ["a2@far.test", "a3@far.test"]
        assert release(connection, lambda _: [limit], NOW + HOUR + SECOND) == []
        assert len(release(connection, lambda _: [limit], NOW + 2 * HOUR)) == 1
        assert not is_anything_held(connection)
        assert connection.scalar(select(func.sum(schema.usage.c.recipients))) == 5
        assert connection.scalar(select(func.sum(schema.usage.c.messages))) == 1

    each_database.write_now(work)


def test_message_caps_release_whole_messages(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann, limit = add_account(connection), rule(None, messages=1)
        for name in "abc":
            submit(connection, ann, name, 2, limit)
        released = release(connection, lambda _: [limit], NOW + HOUR)
        assert {x.queue_id for x in released} == {"Mb"}
        assert len(released) == 2

    each_database.write_now(work)


def test_a_cleared_limit_releases_all(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        submit(connection, ann, "a", 3, rule(0))
        assert len(release(connection, lambda _: [], NOW)) == 3
        events = select(func.count()).where(schema.event.c.event == "released")
        assert connection.scalar(events) == 3

    each_database.write_now(work)


def test_one_account_does_not_wait_for_another(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann, bob = add_account(connection), add_account(connection, "bob@example.test")
        submit(connection, ann, "a", 2, rule(0))
        submit(connection, bob, "b", 2, rule(0))
        released = release(connection, lambda account: [rule(0)] if account == ann else [], NOW)
        assert {x.queue_id for x in released} == {"Mb"}

    each_database.write_now(work)


def test_thousands_of_accounts_take_turns(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "HOLDERS_MOST", 3)

    def work(connection: Connection) -> None:
        people = [add_account(connection, f"p{number}@example.test") for number in range(7)]
        for number, account_id in enumerate(people):
            submit(connection, account_id, f"m{number}-", 1, rule(0))
        turns, after = [], 0
        for _ in range(4):
            turn = held.find_releasable(
                connection, lambda account: [] if account != people[1] else [rule(0)], NOW, after
            )
            turns.append([people.index(holder.account_id) for holder in turn.holders])
            after = turn.after
        assert turns == [[0, 2], [3, 4, 5], [6], [0, 2]]

    database.write_now(work)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cap=st.integers(0, 6),
    steps=st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 5)), min_size=1, max_size=8),
)
def test_no_window_ever_holds_more_than_the_cap(database: Database, cap: int, steps: list[tuple[int, int]]) -> None:
    def work(connection: Connection) -> None:
        for table in (schema.delivery, schema.event, schema.message, schema.usage, schema.account, schema.domain):
            connection.execute(table.delete())
        ann, limit, now = add_account(connection), rule(cap), NOW
        for number, (pause, recipients) in enumerate(steps):
            now += pause * SECOND
            release(connection, lambda _: [limit], now)
            submit(connection, ann, f"x{number}-", recipients, limit, at=now)
        counted = connection.execute(select(schema.usage.c.second, schema.usage.c.recipients)).all()
        for row in counted:
            window = sum(other.recipients for other in counted if row.second - 3600 <= other.second <= row.second)
            assert window <= cap
        waiting = connection.scalar(select(func.count()).where(schema.delivery.c.state == "waiting"))
        assert waiting == sum(row.recipients for row in counted)

    database.write_now(work)
