"""What administrators do with mail that waits."""

from sqlalchemy import func, select

from mailstack.store import open_mail
from mailstack.store.open_mail import Selection, find_open, list_open
from mailstack.store.schema import content, micros
from tests.store.spooled import START, STEP, claim, events, put_message, rows


def spooled(connection):
    numbers = put_message(connection, "M1", ["a@one.example", "b@two.example"])
    numbers += put_message(connection, "M2", ["c@two.example"], state="held", held_by="limit: * per hour")
    put_message(connection, "M3", ["d@one.example"], state="delivered")
    return numbers


def recipients(connection, selection):
    return [one.recipient for one in find_open(connection, selection, now=START)]


def test_the_list_is_what_the_contract_says(each_database):
    def work(connection):
        numbers = spooled(connection)
        assert list_open(connection)[0] == {
            "id": numbers[0],
            "message": "M1",
            "reverse_path": "alice@example.org",
            "recipient": "a@one.example",
            "state": "waiting",
            "held_by": None,
            "attempts": 0,
            "next_attempt_at": "2026-05-01T12:00:00.000Z",
            "last_reply": "",
            "size": 20,
            "created_at": "2026-05-01T12:00:00.000Z",
        }
        assert [row["id"] for row in list_open(connection, after=numbers[0])] == numbers[1:]
        assert open_mail.count_open(connection) == {"waiting": 2, "held": 1}
        assert open_mail.count_open(connection, Selection(domain="one.example")) == {"waiting": 1, "held": 0}

    each_database.write_now(work)


def test_selections(each_database):
    def work(connection):
        numbers = spooled(connection)
        assert recipients(connection, Selection.of([])) == ["a@one.example", "b@two.example", "c@two.example"]
        assert recipients(connection, Selection.of([str(numbers[1])])) == ["b@two.example"]
        assert recipients(connection, Selection.of(["m1", str(numbers[2])])) == [
            "a@one.example",
            "b@two.example",
            "c@two.example",
        ]
        assert recipients(connection, Selection.of([], "two.example")) == ["b@two.example", "c@two.example"]
        assert recipients(connection, Selection.of(["M1"], "two.example")) == ["b@two.example"]
        assert recipients(connection, Selection.of(["M3"])) == []
        # Ids that name nothing never come to mean everything.
        for ids in (["9" * 30], ["²"], [""], ["0"]):
            assert recipients(connection, Selection.of(ids)) == []

    each_database.write_now(work)


def test_retry_asks_for_an_attempt_at_once_but_not_for_a_second_one(each_database):
    def work(connection):
        put_message(connection, "M1", ["a@one.example"], attempts=3, at=START + STEP)
        put_message(connection, "M2", ["b@one.example"])
        assert len(claim(connection, "one.example").units) == 1
        found = find_open(connection, Selection(), now=START)
        assert open_mail.retry(connection, found, START) == 1
        (unit,) = claim(connection, "one.example").units
        assert (unit.queue_id, unit.is_urgent) == ("M1", True)

    each_database.write_now(work)


def test_hold_and_release(each_database):
    def work(connection):
        spooled(connection)
        everything = Selection()
        assert open_mail.hold(connection, find_open(connection, everything, now=START), START, "ann") == 2
        assert {row.state for row in rows(connection).values()} == {"held", "delivered"}
        assert open_mail.release(connection, find_open(connection, everything, now=START), START + STEP, "ann") == 3
        found = rows(connection)["c@two.example"]
        assert (found.state, found.held_by, found.next_attempt_at, found.created_at) == (
            "waiting",
            None,
            START + STEP,
            START + STEP,
        )
        assert ("held", "a@one.example", "by ann") in events(connection)
        assert ("released", "c@two.example", "by ann") in events(connection)

    each_database.write_now(work)


def test_drop_ends_without_a_report_and_lets_the_content_go(each_database):
    def work(connection):
        spooled(connection)
        found = find_open(connection, Selection.of([], "two.example"), now=START)
        assert open_mail.drop(connection, found, START, "ann") == []
        assert connection.scalar(select(func.count()).select_from(content)) == 2  # M1's waits on, M3 ended otherwise
        assert ("failed", "b@two.example", "dropped by ann") in events(connection)
        assert rows(connection)["c@two.example"].state == "failed"

    each_database.write_now(work)


def test_selections_by_sender_state_and_age(each_database):
    def work(connection):
        spooled(connection)
        put_message(connection, "M4", ["e@one.example"], at=START + STEP, reverse_path="Bob@other_org.example")
        everything = ["a@one.example", "b@two.example", "c@two.example", "e@one.example"]
        assert recipients(connection, Selection(state="held")) == ["c@two.example"]
        assert recipients(connection, Selection(state="waiting", domain="two.example")) == ["b@two.example"]
        assert recipients(connection, Selection(accepted_before=START + 1)) == everything[:3]
        assert recipients(connection, Selection(sender="bob@other_org.example")) == everything[3:]
        assert recipients(connection, Selection(sender="@other_org.example")) == everything[3:]
        assert recipients(connection, Selection(sender="@otherXorg.example")) == []
        assert recipients(connection, Selection(sent_by_domains=frozenset({"example.org"}))) == everything[:3]
        assert recipients(connection, Selection(sent_by_domains=frozenset())) == []
        assert open_mail.count_open(connection, Selection(sender="@example.org")) == {"waiting": 2, "held": 1}
        assert open_mail.count_open(connection, Selection(state="held")) == {"waiting": 0, "held": 1}

    each_database.write_now(work)


def test_backlogs_are_the_longest_first_with_the_words_of_the_oldest(each_database):
    def work(connection):
        spooled(connection)
        put_message(connection, "M4", ["f@two.example"], at=START + STEP, last_reply="450 not now")
        put_message(connection, "M5", ["g@three.example"], at=START + STEP, last_reply="451 busy")
        found = open_mail.backlogs(connection)
        assert [(one.domain, one.waiting, one.held) for one in found] == [
            ("two.example", 2, 1),
            ("one.example", 1, 0),
            ("three.example", 1, 0),
        ]
        assert (found[0].last_reply, micros(found[0].oldest_at)) == ("", START)
        assert (found[2].last_reply, micros(found[2].next_attempt_at)) == ("451 busy", START + STEP)
        assert [one.domain for one in open_mail.backlogs(connection, most=1)] == ["two.example"]
        assert open_mail.backlogs(connection, Selection(sent_by_domains=frozenset({"x.example"}))) == []

    each_database.write_now(work)
