"""The queue at work against fake destinations: at once, at its pace, and nobody behind another."""

from datetime import timedelta

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred as Promise

from mailstack.store import open_mail
from mailstack.store.open_mail import Selection, find_open
from mailstack.store.schema import micros
from tests.queue.bench_host import QueueHost, deferred, delivered
from tests.store.spooled import SECOND, START


@pytest.fixture
def host(database, tmp_path):
    return QueueHost(database, tmp_path)


@pytest_twisted.ensureDeferred
async def test_new_mail_leaves_at_once_and_its_content_goes(each_database, tmp_path):
    host = QueueHost(each_database, tmp_path)
    await host.runner.start()
    await host.settle()
    host.clock.advance(0.1)
    await host.put("M1", "a@one.example", "b@one.example", body=b"Subject: x\r\n\r\nhello\r\n")
    host.runner.wake()
    await host.settle()
    assert host.remote.tried == [("mx:@one.example:", ["a@one.example", "b@one.example"])]
    assert host.remote.contents == [b"Subject: x\r\n\r\nhello\r\n"]
    assert {row.state for row in (await host.rows()).values()} == {"delivered"}
    assert await host.contents() == 0
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_mail_that_came_in_during_a_walk_is_not_forgotten(host):
    await host.runner.start()
    await host.settle()
    await host.put("M1", "a@one.example")
    host.runner.wake()  # in the pause after the walk
    assert host.remote.tried == []
    host.clock.advance(0.1)
    await host.settle()
    assert host.remote.tries("one.example") == 1
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_a_deferral_is_retried_on_the_schedule(host):
    host.remote.answers["one.example"] = deferred()
    await host.put("M1", "a@one.example")
    await host.runner.start()
    await host.settle()
    assert host.remote.tries("one.example") == 1
    await host.advance(119)
    assert host.remote.tries("one.example") == 1
    host.remote.answers["one.example"] = delivered()
    await host.advance(2)
    assert host.remote.tries("one.example") == 2
    row = (await host.rows())["a@one.example"]
    assert (row.state, row.attempts) == ("delivered", 2)
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_a_dead_destination_with_a_backlog_delays_nobody(host):
    host.remote.answers["dead.example"] = Promise  # answers never
    for number in range(300):
        await host.put(f"MD{number}", f"u{number}@dead.example", at=START - SECOND)
    await host.runner.start()
    await host.until(lambda: host.remote.tries("dead.example") >= 5)
    host.clock.advance(0.1)
    for number in range(50):
        await host.put(f"MA{number}", f"u{number}@alive.example")
    host.runner.wake()
    await host.until(lambda: host.remote.tries("alive.example") == 50, "the other destination is served")
    assert host.remote.most_at_once["dead.example"] == 5
    host.clock.advance(0.1)
    await host.runner.stop(timedelta(0))


@pytest_twisted.ensureDeferred
async def test_many_slow_destinations_never_take_all_connections(database, tmp_path):
    host = QueueHost(database, tmp_path, connections=20)
    for number in range(10):
        host.remote.answers[f"slow{number}.example"] = Promise
        for letter in range(10):
            await host.put(f"MS{number}X{letter}", f"u@slow{number}.example", at=START - SECOND)
    await host.runner.start()
    await host.until(lambda: len(host.remote.tried) >= 15)
    host.clock.advance(0.1)
    await host.put("MA", "u@alive.example")
    host.runner.wake()
    await host.until(lambda: host.remote.tries("alive.example") == 1, "a new destination finds a connection")
    assert host.remote.most_in_all <= 20
    await host.runner.stop(timedelta(0))


@pytest_twisted.ensureDeferred
async def test_a_destination_that_fails_as_a_whole_rests_and_its_backlog_is_put_off(host):
    host.remote.answers["down.example"] = deferred("no connection", whole=True)
    for number in range(120):
        await host.put(f"M{number}", f"u{number}@down.example", at=START - SECOND)
    await host.runner.start()
    await host.settle()
    tried = host.remote.tries("down.example")
    assert tried <= 5
    found = (await host.rows()).values()
    assert {(row.state, row.attempts, row.leased_until) for row in found} == {("waiting", 1, None)}
    assert all("no connection" in row.last_reply for row in found)
    assert all(row.next_attempt_at > START + 100 * SECOND for row in found)
    # After the rest one probe goes out; its success brings the others.
    host.remote.answers["down.example"] = delivered()
    await host.advance(135)
    await host.advance(1)
    assert {row.state for row in (await host.rows()).values()} == {"delivered"}
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_a_backlog_of_a_resting_destination_is_put_off_little_by_little(host):
    host.remote.answers["down.example"] = deferred("no connection", whole=True)
    await host.put("MBIG", *(f"u{number}@down.example" for number in range(900)), at=START - SECOND)
    await host.runner.start()
    await host.settle()
    first = sum(1 for row in (await host.rows()).values() if row.attempts)
    assert first < 900
    await host.advance(1)
    second = sum(1 for row in (await host.rows()).values() if row.attempts)
    assert first < second <= first + 400
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_an_administrator_s_retry_goes_out_though_the_destination_rests(host):
    host.remote.answers["down.example"] = deferred("no connection", whole=True)
    await host.put("M1", "a@down.example")
    await host.runner.start()
    await host.settle()
    host.remote.answers["down.example"] = delivered()
    await host.advance(1)
    assert host.remote.tries("down.example") == 1

    def retry(connection):
        now = micros(host.now())
        return open_mail.retry(connection, find_open(connection, Selection(), now=now), now)

    assert await host.database.write(retry) == 1
    await host.advance(1)
    assert host.remote.tries("down.example") == 2
    assert (await host.rows())["a@down.example"].state == "delivered"
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_connections_stay_within_their_bounds(database, tmp_path):
    host = QueueHost(database, tmp_path, connections=8, connections_per_destination=3)
    waiting: list[Promise] = []

    def later():
        waiting.append(Promise())
        return waiting[-1]

    for domain in range(5):
        host.remote.answers[f"d{domain}.example"] = later
        for number in range(10):
            await host.put(f"M{domain}X{number}", f"u@d{domain}.example")
    await host.runner.start()
    while len(host.remote.tried) < 50 or waiting:
        await host.until(lambda: waiting)
        waiting.pop(0).callback(delivered())
    await host.settle()
    assert host.remote.most_in_all <= 8
    assert max(host.remote.most_at_once.values()) <= 3
    assert {row.state for row in (await host.rows()).values()} == {"delivered"}
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_one_transaction_carries_all_domains_of_a_smarthost(database, tmp_path):
    host = QueueHost(database, tmp_path, smarthost="relay.example:587", smarthost_user="u")
    await host.put("M1", "a@one.example", "b@two.example", "c@three.example")
    await host.runner.start()
    await host.settle()
    ((key, recipients),) = host.remote.tried
    assert key == "smarthost:u@relay.example:587"
    assert sorted(recipients) == ["a@one.example", "b@two.example", "c@three.example"]
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_domains_of_ours_and_backed_up_ones_take_their_routes(host):
    await host.put("M1", "a@ours.example", "b@backed.example", "c@else.example")
    await host.runner.start()
    await host.settle()
    assert host.local == [["a@ours.example"]]
    assert sorted(key for key, _ in host.remote.tried) == ["host:@inner.example:2525", "mx:@else.example:"]
    assert await host.contents() == 0
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_stop_gives_back_what_was_not_begun(host):
    host.remote.answers["slow.example"] = Promise
    for number in range(20):
        await host.put(f"M{number}", f"u{number}@slow.example")
    await host.runner.start()
    await host.until(lambda: host.remote.tries("slow.example") == 5)
    await host.until(lambda: len(host.runner._claimed) == 20)
    stopping = Promise.fromCoroutine(host.runner.stop(timedelta(seconds=3)))
    await host.until(lambda: host.runner._drained is not None)
    host.clock.advance(4)
    await stopping
    found = list((await host.rows()).values())
    assert sum(1 for row in found if row.attempts == 0 and row.leased_until is None) == 15
    assert sum(1 for row in found if row.attempts == 1 and row.next_attempt_at > START) == 5


@pytest_twisted.ensureDeferred
async def test_after_a_crash_a_try_is_repeated_and_not_before_its_time(host):
    host.remote.answers["slow.example"] = Promise
    await host.put("M1", "a@slow.example")
    await host.runner.start()
    await host.until(lambda: host.remote.tries("slow.example") == 1)
    crashed, host.runner = host.runner, host.make_runner()
    crashed._ticker.stop()
    host.remote.answers["slow.example"] = delivered()
    await host.runner.start()
    await host.advance(60)
    assert host.remote.tries("slow.example") == 1
    await host.advance(65)
    assert host.remote.tries("slow.example") == 2
    assert (await host.rows())["a@slow.example"].state == "delivered"
    await host.runner.stop()
    await crashed.stop(timedelta(0))


@pytest_twisted.ensureDeferred
async def test_held_mail_that_is_released_goes_out(host):
    await host.put("M1", "a@one.example", state="held", held_by="limit: * per hour")
    await host.runner.start()
    await host.settle()
    assert host.remote.tried == []

    def release(connection):
        now = micros(host.now())
        return open_mail.release(connection, find_open(connection, Selection(), now=now), now, "ann")

    await host.database.write(release)
    host.releases.append(["one"])
    await host.advance(1)
    assert host.remote.tries("one.example") == 1
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_an_attempt_that_raises_leaves_the_mail_for_its_next_attempt(host, capsys):
    host.remote.answers["odd.example"] = RuntimeError("a bug")
    await host.put("M1", "a@odd.example")
    await host.runner.start()
    await host.settle()
    row = (await host.rows())["a@odd.example"]
    assert (row.state, row.attempts) == ("waiting", 1)
    assert row.next_attempt_at == START + 120 * SECOND
    host.remote.answers["odd.example"] = delivered()
    await host.advance(301)
    assert (await host.rows())["a@odd.example"].state == "delivered"
    await host.runner.stop()
