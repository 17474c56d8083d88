"""A frozen account sends nothing, whatever was under way, until somebody lets it go; then it goes by its limits."""

from sqlalchemy import Connection, select

from mailstack.store import freezing, schema
from mailstack.store.acceptance import accept_many
from mailstack.store.database import Database
from mailstack.store.submissions import BacklogFull, Kept, Submitter, Terms
from tests.store.letters import NOW, SECOND, add_account, letter, release, remote, rule


def submit(connection: Connection, account_id: int, name: str, *recipients: str, why: str | None = None) -> object:
    who = Submitter(account_id, 1, "ann@example.test", (rule(2),), why)
    return accept_many(connection, [letter(name, *map(remote, recipients), submitter=who)])[0]


def states(connection: Connection) -> dict[str, tuple[str, str | None]]:
    return {row.recipient: (row.state, row.held_by) for row in connection.execute(select(schema.delivery))}


def test_what_waits_and_what_comes_is_held_and_goes_by_the_limits(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        submit(connection, ann, "M1", "queued@far.test")
        assert freezing.freeze(connection, ann, "a burst", NOW)
        assert not freezing.freeze(connection, ann, "again", NOW)
        verdict = submit(connection, ann, "M2", "a@far.test", "b@far.test", why="a burst")
        assert isinstance(verdict, Kept)
        assert verdict.held == ("a@far.test", "b@far.test")
        assert set(states(connection).values()) == {("held", "frozen: a burst")}
        assert freezing.held_of(connection, ann) == freezing.Held(ann, 3, "frozen: a burst", NOW)
        assert release(connection, lambda _: [], NOW) == [], "nobody but an administrator lets it go"

        assert freezing.unfreeze(connection, ann, NOW + SECOND, "root")
        assert not freezing.unfreeze(connection, ann, NOW, "root")
        assert states(connection)["queued@far.test"] == ("waiting", None)
        released = release(connection, lambda _: [rule(2)], NOW + SECOND)
        assert [one.recipient for one in released] == ["a@far.test"], "the queued one was counted before"
        assert len(release(connection, lambda _: [rule(2)], NOW + 3602 * SECOND)) == 1

    each_database.write_now(work)


def test_the_backlog_of_what_is_held_is_bounded(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        who = Submitter(ann, 1, "ann@example.test", (), "a burst")
        letters = [
            letter(f"M{number}", remote("a@far.test"), remote("b@far.test"), submitter=who, terms=Terms(held_backlog=3))
            for number in range(2)
        ]
        first, second = accept_many(connection, letters)
        assert isinstance(first, Kept)
        assert second == BacklogFull("frozen: a burst", 3)
        assert len(states(connection)) == 2

    each_database.write_now(work)
