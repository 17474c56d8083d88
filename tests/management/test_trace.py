"""Who sees how much of a message's story."""

from mailstack.management.actor import Actor
from mailstack.management.trace import TRACE_MOST, trace
from mailstack.store.database import Connection, Database
from mailstack.store.timeline import event_row, record_events
from tests.store.spooled import START, put_message


def seen(database: Database, *domains: str) -> tuple[list[str], list[str]]:
    """The recipients, and those of the events, that an administrator of these domains sees of M1."""
    actor = Actor("olga", "192.0.2.1", domains=frozenset(domains))
    found = database.read_now(lambda connection: trace(connection, actor, "M1"))
    return (
        [one["recipient"] for message in found for one in message["recipients"]],
        [one["recipient"] for message in found for one in message["events"]],
    )


def test_a_part_is_found_behind_hundreds_of_others(database: Database) -> None:
    def fill(connection: Connection) -> None:
        for number in range(TRACE_MOST + 50):
            queue_id, to = f"M{number:04}", "bob@one.example" if number == 3 else "eve@two.example"
            put_message(connection, queue_id, [to], reverse_path="shop@far.example")
            record_events(connection, [event_row(queue_id, START, "accepted", to, "")])

    database.write_now(fill)
    actor = Actor("olga", "192.0.2.1", domains=frozenset(["one.example"]))
    found = database.read_now(lambda connection: trace(connection, actor, "shop@far.example"))
    assert [message["message"] for message in found] == ["M0003"]


def test_the_sender_sees_all_and_a_recipient_only_themselves(database: Database) -> None:
    def fill(connection: Connection) -> None:
        put_message(connection, "M1", ["bob@one.example", "eve@two.example"], reverse_path="alice@example.org")
        for recipient in ("", "bob@one.example", "eve@two.example"):
            record_events(connection, [event_row("M1", START, "accepted", recipient, "")])

    database.write_now(fill)
    everybody = ["bob@one.example", "eve@two.example"]
    assert seen(database, "example.org") == (everybody, ["", *everybody])
    assert seen(database, "one.example") == (["bob@one.example"], ["", "bob@one.example"])
    assert seen(database, "three.example") == seen(database) == ([], [])
