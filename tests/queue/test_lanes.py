"""Bulk never delays people, takes neither the last connection nor all claims, and is never starved."""

from datetime import UTC, datetime

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred as Promise

from mailstack.mail.address import parse_address
from mailstack.mail.envelope import Envelope, Recipient
from mailstack.queue.destinations import CLAIM_DELIVERIES, Destinations
from mailstack.queue.routes import Route
from mailstack.store.claims import Due, DueRecipient, Unit
from tests.queue.bench_host import QueueHost, delivered
from tests.store.spooled import SECOND, START

MOMENT = datetime(2027, 1, 1, tzinfo=UTC)


def unit(number: int, *, key: str = "far", is_bulk: bool = False, is_urgent: bool = False) -> Unit:
    recipient = Recipient(parse_address(f"u{number}@{key}.example"))
    due = DueRecipient(number, recipient, 1, 0, 0, MOMENT, is_delay_told=False, last_reply="", is_urgent=is_urgent)
    sender = parse_address("ann@example.test")
    return Unit(key, f"M{number}", Envelope(sender), "submission", None, 1, MOMENT, (due,), is_bulk)


def fill(destinations: Destinations, people: int, bulk: int, key: str = "far") -> None:
    for number in range(bulk):
        destinations.add_work(unit(number, key=key, is_bulk=True), None, Route(key, None, is_shared=False))
    for number in range(people):
        destinations.add_work(unit(1000 + number, key=key), None, Route(key, None, is_shared=False))


def started(destinations: Destinations) -> list[bool]:
    return [work[0].is_bulk for _, work in destinations.startable(0)]


def test_people_overtake_bulk_that_was_there_first_and_bulk_has_its_turn() -> None:
    destinations = Destinations(bound=5, in_all=100)
    fill(destinations, people=10, bulk=10)
    assert started(destinations) == [False] * 4 + [True]


def test_bulk_leaves_the_last_connection_of_a_destination_to_people() -> None:
    destinations = Destinations(bound=5, in_all=100)
    fill(destinations, people=0, bulk=10)
    assert started(destinations) == [True] * 4
    fill(destinations, people=1, bulk=0)
    assert started(destinations) == [False]


def test_a_single_connection_serves_both() -> None:
    destinations = Destinations(bound=1, in_all=100)
    fill(destinations, people=0, bulk=2)
    order = []
    for _ in range(12):
        ((destination, work),) = destinations.startable(0)
        order.append(work[0].is_bulk)
        destinations.note_end(destination, work[0])
        if len(order) == 1:
            fill(destinations, people=10, bulk=0)
    assert order == [True, *[False] * 4, True, *[False] * 6]


def test_bulk_leaves_the_last_of_all_connections_to_people() -> None:
    destinations = Destinations(bound=5, in_all=8)
    for number in range(4):
        fill(destinations, people=0, bulk=5, key=f"d{number}")
    assert len(started(destinations)) == 6
    fill(destinations, people=1, bulk=0, key="person")
    assert started(destinations) == [False]


def test_what_an_administrator_asks_for_goes_first_in_either_lane() -> None:
    destinations = Destinations(bound=1, in_all=8)
    fill(destinations, people=3, bulk=0)
    destinations.add_work(unit(1, is_bulk=True, is_urgent=True), None, Route("far", None, is_shared=False))
    assert started(destinations) == [True]


@pytest.mark.parametrize("people", [0, 3, 500])
def test_claims_take_people_first_and_some_bulk_always(people: int) -> None:
    destinations = Destinations(bound=50, in_all=500)
    for number in range(people):
        destinations.note_due(Route(f"p{number}", None, is_shared=False), Due(f"p{number}"), 0)
    for number in range(200):
        destinations.note_due(Route(f"b{number}", None, is_shared=False), Due(f"b{number}", is_bulk=True), 0)
    wants = destinations.wants(0, 0, 0, 2000)
    bulk = sum(want.deliveries for want in wants if want.is_bulk)
    assert sum(want.deliveries for want in wants) <= CLAIM_DELIVERIES
    assert 0 < bulk <= CLAIM_DELIVERIES
    if people == 500:
        assert bulk <= CLAIM_DELIVERIES // 4
        assert not wants[0].is_bulk
    assert not any(want.is_bulk for want in destinations.wants(0, 1500, 1500, 2000)), "never the whole of the claims"


@pytest_twisted.ensureDeferred
async def test_a_person_s_mail_passes_a_mailing_to_the_same_place(database, tmp_path):
    host = QueueHost(database, tmp_path, connections_per_destination=2)
    waiting: list[Promise] = []

    def later():
        waiting.append(Promise())
        return waiting[-1]

    host.remote.answers["far.example"] = later
    for number in range(300):
        await host.put(f"MB{number}", f"b{number}@far.example", is_bulk=True, at=START - SECOND)
    await host.runner.start()
    await host.until(lambda: waiting, "the mailing has begun")
    host.clock.advance(0.1)
    await host.put("MP", "person@far.example")
    host.runner.wake()
    await host.until(lambda: any(r == ["person@far.example"] for _, r in host.remote.tried), "the person's mail is out")
    assert len(host.remote.tried) == 2, "the other connection was free for it"
    host.remote.answers["far.example"] = delivered()
    while waiting:
        waiting.pop().callback(delivered())
    await host.settle()
    assert {row.state for row in (await host.rows()).values()} == {"delivered"}
    await host.runner.stop()
