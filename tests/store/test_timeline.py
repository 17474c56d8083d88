"""Tracing a message by what people know of it."""

import pytest

from mailstack.mail.header import subject_hash
from mailstack.store.timeline import event_row, record_events, trace
from tests.store.spooled import SECOND, START, put_message


def spooled(connection):
    put_message(connection, "M1", ["bob@one.example"], header_message_id="first@example.org", last_reply="450 later")
    put_message(connection, "M2", ["Bob@two.example"], at=START + SECOND, reverse_path="eve@example.org")
    record_events(
        connection,
        [
            event_row("M1", START, "accepted", "", "from 192.0.2.1"),
            event_row("M1", START, "delivered", "carol@example.org", "into the mailbox"),
            event_row("M1", START + SECOND, "deferred", "bob@one.example", "450 later"),
        ],
    )


def test_the_trace_is_what_the_contract_says(each_database):
    def work(connection):
        spooled(connection)
        (told,) = trace(connection, "M1")
        assert told == {
            "message": "M1",
            "message_id": "first@example.org",
            "reverse_path": "alice@example.org",
            "size": 20,
            "created_at": "2026-05-01T12:00:00.000Z",
            "recipients": [
                {
                    "recipient": "bob@one.example",
                    "state": "waiting",
                    "attempts": 0,
                    "next_attempt_at": "2026-05-01T12:00:00.000Z",
                    "last_reply": "450 later",
                },
                {
                    "recipient": "carol@example.org",
                    "state": "delivered",
                    "attempts": 0,
                    "next_attempt_at": None,
                    "last_reply": "",
                },
            ],
            "events": [
                {"at": "2026-05-01T12:00:00.000Z", "event": "accepted", "recipient": "", "detail": "from 192.0.2.1"},
                {
                    "at": "2026-05-01T12:00:00.000Z",
                    "event": "delivered",
                    "recipient": "carol@example.org",
                    "detail": "into the mailbox",
                },
                {
                    "at": "2026-05-01T12:00:01.000Z",
                    "event": "deferred",
                    "recipient": "bob@one.example",
                    "detail": "450 later",
                },
            ],
        }

    each_database.write_now(work)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("M1", ["M1"]),
        ("m1", ["M1"]),
        ("2", ["M2"]),
        ("first@example.org", ["M1"]),
        (" <first@example.org> ", ["M1"]),
        ("alice@example.org", ["M1"]),
        ("carol@example.org", ["M1"]),
        ("bob@one.example", ["M1"]),
        ("Bob@two.example", ["M2"]),
        ("bOB@TWO.example", ["M2"]),
        ("CAROL@example.org", ["M1"]),
        ("Alice@Example.ORG", ["M1"]),
        ("eve@example.org", ["M2"]),
        ("nobody@example.org", []),
        ("", []),
        ("<>", []),
        ("M9", []),
    ],
)
def test_a_message_is_found_by_what_people_know_of_it(each_database, query, found):
    each_database.write_now(spooled)
    assert [told["message"] for told in each_database.read_now(lambda connection: trace(connection, query))] == found


def test_the_newest_come_first_and_are_bounded(each_database):
    def work(connection):
        for number in range(5):
            put_message(connection, f"M{number}", [f"u{number}@one.example"], at=START + number * SECOND)
        assert [told["message"] for told in trace(connection, "alice@example.org", most=2)] == ["M4", "M3"]

    each_database.write_now(work)


def test_a_message_is_found_by_its_subject(each_database):
    def work(connection):
        put_message(connection, "M1", ["bob@one.example"], subject_hash=subject_hash("Offer no. 7"))
        put_message(connection, "M2", ["bob@one.example"], at=START + SECOND)
        assert [told["message"] for told in trace(connection, "re: offer no. 7")] == ["M1"]
        assert trace(connection, "Offer") == trace(connection, "") == []

    each_database.write_now(work)
