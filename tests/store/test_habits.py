"""What is new of an account lately, and who was told of a limit; on both databases."""

from sqlalchemy import Connection, insert, select, update

from mailstack.policy.habit import Lately
from mailstack.policy.limits import Over, Per, Rule
from mailstack.store import schema
from mailstack.store.database import Database
from mailstack.store.habits import first_time_lately, forget_networks, note_login
from mailstack.store.notices import claim_notice
from tests.store.letters import NOW, SECOND, add_account

HOUR, DAY = 3600 * SECOND, 86_400 * SECOND


def know(connection: Connection, account_id: int, *moments: int) -> None:
    for number, at in enumerate(moments):
        row = {"account_id": account_id, "address": f"r{number}-{at}@far.test", "first_at": at}
        connection.execute(insert(schema.known_recipient).values(row))


def test_the_habit_is_the_busiest_day_before_the_last_hour(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann, bob = add_account(connection), add_account(connection, "bob@example.test")
        know(connection, bob, *(NOW - number for number in range(5)))
        know(connection, ann, NOW - SECOND, NOW - HOUR + SECOND)  # lately
        know(connection, ann, *(NOW - 3 * DAY - number * SECOND for number in range(4)), NOW - 5 * DAY)
        know(connection, ann, *(NOW - 20 * DAY - number for number in range(9)))  # too long ago
        assert first_time_lately(connection, ann, NOW) == Lately(2, 4)
        connection.execute(update(schema.account).values(unfrozen_at=NOW - 2 * SECOND))
        assert first_time_lately(connection, ann, NOW) == Lately(1, 4), "somebody has looked since"

    each_database.write_now(work)


def test_a_network_is_new_once_and_written_once_a_day(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        assert note_login(connection, ann, "192.0.2.0/24", NOW) == Lately(1, 0)
        assert note_login(connection, ann, "198.51.100.0/24", NOW + SECOND) == Lately(2, 0)
        assert note_login(connection, ann, "192.0.2.0/24", NOW + HOUR) is None
        assert note_login(connection, ann + 100, "192.0.2.0/24", NOW) is None, "the account is gone"

        def seen() -> list[int]:
            return list(connection.scalars(select(schema.login_network.c.last_at).order_by("network")))

        assert seen() == [NOW, NOW + SECOND]
        assert note_login(connection, ann, "192.0.2.0/24", NOW + DAY) is None
        assert seen() == [NOW + DAY, NOW + SECOND]
        forget_networks(connection, NOW + 60 * DAY + 2 * SECOND)
        assert seen() == [NOW + DAY]

    each_database.write_now(work)


def test_one_notice_a_window_of_an_account_and_of_a_domain_together(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann, bob = add_account(connection), add_account(connection, "bob@example.test")

        def is_told(scope: str, account_id: int, percent: int, at: int) -> bool:
            rule = Rule(scope, Per.HOUR, None, 10, Over.REFUSE)
            return claim_notice(connection, rule, account_id, 1, percent, at) is not None

        assert is_told("*", ann, 80, NOW)
        assert not is_told("*", ann, 80, NOW + HOUR - SECOND)
        assert is_told("*", ann, 100, NOW + SECOND)
        assert is_told("*", bob, 100, NOW)
        assert not is_told("*", bob, 80, NOW + SECOND), "100 % tells 80 % too"
        assert is_told("*", ann, 80, NOW + 2 * HOUR)
        assert is_told("example.test", ann, 80, NOW)
        assert not is_told("example.test", bob, 80, NOW), "the domain was told"
        assert not is_told("*", bob + 100, 80, NOW), "the account is gone"

    each_database.write_now(work)
