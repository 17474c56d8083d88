"""What a limit held leaves by itself, oldest first, exactly as fast as the limit allows."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from mailstack.policy.limits import Rule
from mailstack.store import schema
from mailstack.store.acceptance import accept_many
from mailstack.store.database import Database
from mailstack.store.held import has_held, release_held
from tests.store.letters import NOW, SECOND, add_account, letter, remote, rule, submitter

HOUR = 3601 * SECOND


def submit(connection: Connection, account_id: int, name: str, recipients: int, *rules: Rule, at: int = NOW) -> None:
    copies = [remote(f"{name}{number}@far.test") for number in range(recipients)]
    accept_many(connection, [letter(f"M{name}", *copies, submitter=submitter(account_id, *rules), created_at=at)])


def test_recipients_leave_as_the_window_frees(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann, limit = add_account(connection), rule(2)
        submit(connection, ann, "a", 5, limit)
        assert has_held(connection)
        assert release_held(connection, lambda _: [limit], NOW + HOUR - SECOND) == []
        released = release_held(connection, lambda _: [limit], NOW + HOUR)
        assert [x.recipient for x in released] == ["a2@far.test", "a3@far.test"]
        assert release_held(connection, lambda _: [limit], NOW + HOUR + SECOND) == []
        assert len(release_held(connection, lambda _: [limit], NOW + 2 * HOUR)) == 1
        assert not has_held(connection)
        assert connection.scalar(select(func.sum(schema.usage.c.recipients))) == 5
        assert connection.scalar(select(func.sum(schema.usage.c.messages))) == 1

    each_database.write_now(work)


def test_message_caps_release_whole_messages(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann, limit = add_account(connection), rule(None, messages=1)
        for name in "abc":
            submit(connection, ann, name, 2, limit)
        released = release_held(connection, lambda _: [limit], NOW + HOUR)
        assert {x.queue_id for x in released} == {"Mb"}
        assert len(released) == 2

    each_database.write_now(work)


def test_a_cleared_limit_releases_all(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        submit(connection, ann, "a", 3, rule(0))
        assert len(release_held(connection, lambda _: [], NOW)) == 3
        events = select(func.count()).where(schema.event.c.event == "released")
        assert connection.scalar(events) == 3

    each_database.write_now(work)


def test_one_account_does_not_wait_for_another(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann, bob = add_account(connection), add_account(connection, "bob@example.test")
        submit(connection, ann, "a", 2, rule(0))
        submit(connection, bob, "b", 2, rule(0))
        released = release_held(connection, lambda account: [rule(0)] if account == ann else [], NOW)
        assert {x.queue_id for x in released} == {"Mb"}

    each_database.write_now(work)


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
            release_held(connection, lambda _: [limit], now)
            submit(connection, ann, f"x{number}-", recipients, limit, at=now)
        counted = connection.execute(select(schema.usage.c.second, schema.usage.c.recipients)).all()
        for row in counted:
            window = sum(other.recipients for other in counted if row.second - 3600 <= other.second <= row.second)
            assert window <= cap
        waiting = connection.scalar(select(func.count()).where(schema.delivery.c.state == "waiting"))
        assert waiting == sum(row.recipients for row in counted)

    database.write_now(work)
