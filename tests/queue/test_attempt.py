"""What outcomes lead to: states, timelines, retries, and reports to those who want them."""

import email
from dataclasses import replace

import pytest
import pytest_twisted

from mailstack.mail.address import NULL_SENDER, parse_address
from mailstack.mail.envelope import Notify
from mailstack.mail.outcome import LOCAL_PEER
from mailstack.store.database import StoreTrouble
from tests.queue.bench_host import QueueHost, deferred, delivered, failed
from tests.store.spooled import SECOND, START

HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture
def host(database, tmp_path):
    return QueueHost(database, tmp_path)


async def run(host: QueueHost, *answers, domain="one.example"):
    """One attempt for all recipients of a domain, with these answers."""
    host.remote.answers[domain] = list(answers) if len(answers) > 1 else answers[0]
    await host.runner.start()
    await host.settle()
    await host.advance(61)  # what was overdue at the start is spread over a minute
    await host.runner.stop()


def status_of(content: bytes) -> list:
    return email.message_from_bytes(content).get_payload()[1].get_payload()


@pytest_twisted.ensureDeferred
async def test_each_recipient_has_its_own_outcome(host):
    await host.put("M1", "a@one.example", "b@one.example", "c@one.example")
    await run(host, delivered("taken"), deferred("busy"), failed("unknown"))
    found = await host.rows()
    assert [row.state for row in found.values()] == ["delivered", "waiting", "failed"]
    assert found["b@one.example"].last_reply == "450 4.2.0 busy"
    assert found["b@one.example"].next_attempt_at == START + 120 * SECOND
    assert await host.events() == [
        ("attempt", "a@one.example", "number 1"),
        ("delivered", "a@one.example", "mx.one.example[192.0.2.1]:25: 250 2.0.0 taken"),
        ("attempt", "b@one.example", "number 1"),
        (
            "deferred",
            "b@one.example",
            "mx.one.example[192.0.2.1]:25: 450 4.2.0 busy; tried again at 2026-05-01T12:02:00Z",
        ),
        ("attempt", "c@one.example", "number 1"),
        ("failed", "c@one.example", "mx.one.example[192.0.2.1]:25: 550 5.1.1 unknown"),
        ("bounced", "c@one.example", "told <alice@example.org> by MREPORT1"),
    ]


@pytest_twisted.ensureDeferred
async def test_recipients_that_failed_together_share_one_bounce(host):
    body = b"Message-ID: <x@y>\r\nSubject: s\r\n\r\nsecret body\r\n"
    await host.put("M1", "a@one.example", "b@one.example", envid="E1", ret="HDRS", body=body)
    await run(host, failed("unknown"))
    ((envelope, content),) = host.reports
    assert envelope.reverse_path == NULL_SENDER
    assert [recipient.address for recipient in envelope.recipients] == [parse_address("alice@example.org")]
    blocks = status_of(content)
    assert blocks[0]["Original-Envelope-Id"] == "E1"
    assert [block["Final-Recipient"] for block in blocks[1:]] == ["rfc822; a@one.example", "rfc822; b@one.example"]
    assert blocks[1]["Diagnostic-Code"] == "smtp; 550 5.1.1 unknown"
    assert b"secret body" not in content
    assert b"Subject: s" in content
    assert await host.contents() == 0


@pytest_twisted.ensureDeferred
async def test_ret_full_returns_the_whole_of_what_is_not_too_large(host):
    big = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n"
    await host.put("M1", "a@one.example", ret="FULL", body=big + b"line\r\n" * 20_000)
    await host.put("M2", "b@one.example", ret="FULL", body=big + b"line\r\n" * 200_000)
    await run(host, failed())
    sizes = sorted(len(content) for _, content in host.reports)
    assert sizes[0] < 5_000
    assert sizes[1] > 120_000


@pytest_twisted.ensureDeferred
async def test_notify_decides_who_is_told_of_a_failure(host):
    await host.put("M1", "never@one.example", notify=Notify.NEVER.value)
    await host.put("M2", "delay@one.example", notify=Notify.DELAY.value)
    await host.put("M3", "failure@one.example", notify=Notify.FAILURE.value)
    await run(host, failed())
    assert [status_of(content)[1]["Final-Recipient"] for _, content in host.reports] == ["rfc822; failure@one.example"]
    assert {row.state for row in (await host.rows()).values()} == {"failed"}


@pytest_twisted.ensureDeferred
async def test_a_report_is_never_answered(host, capsys):
    await host.put("M1", "a@one.example", reverse_path="", origin="report", at=START - 6 * HOUR * SECOND)
    await run(host, deferred())
    assert host.reports == []
    await host.put("M2", "b@two.example", reverse_path="", notify=(Notify.FAILURE | Notify.SUCCESS).value)
    host.runner = host.make_runner()
    await run(host, failed(), domain="two.example")
    assert host.reports == []
    assert (await host.rows())["b@two.example"].state == "failed"


@pytest_twisted.ensureDeferred
async def test_the_sender_is_told_once_of_a_delay(host):
    await host.put("M1", "a@one.example", "b@one.example", at=START - 4 * HOUR * SECOND)
    await host.put("M2", "c@one.example", at=START - 3 * HOUR * SECOND)
    await host.put("M3", "d@one.example", at=START - 5 * HOUR * SECOND, notify=Notify.FAILURE.value)
    await run(host, deferred("greylisted"))
    ((_, content),) = host.reports
    blocks = status_of(content)
    assert [block["Action"] for block in blocks[1:]] == ["delayed", "delayed"]
    assert blocks[1]["Status"] == "4.2.0"
    assert blocks[1]["Will-Retry-Until"] == "Wed, 06 May 2026 08:00:00 +0000"
    host.runner = host.make_runner()
    host.clock.advance(130)
    await run(host, deferred("greylisted"))
    assert host.remote.tries("one.example") > 3
    assert len(host.reports) == 1


@pytest_twisted.ensureDeferred
async def test_at_the_end_of_its_time_a_message_expires_with_the_last_words(host):
    await host.put("M1", "a@one.example", at=START - 5 * DAY * SECOND)
    await run(host, deferred("still full"))
    assert (await host.rows())["a@one.example"].state == "failed"
    assert [name for name, _, _ in await host.events()] == ["attempt", "expired", "bounced"]
    block = status_of(host.reports[0][1])[1]
    assert (block["Action"], block["Status"]) == ("failed", "4.4.7")
    assert block["Diagnostic-Code"] == "smtp; 450 4.2.0 still full"


@pytest_twisted.ensureDeferred
async def test_the_other_side_s_wish_for_the_next_try_is_honoured(host):
    await host.put("M1", "a@one.example")
    await run(host, deferred("greylisted, try again in 7 minutes"))
    assert (await host.rows())["a@one.example"].next_attempt_at == START + (7 * 60 + 10) * SECOND


@pytest_twisted.ensureDeferred
async def test_a_report_that_cannot_be_stored_keeps_the_delivery(host, capsys):
    host.report_trouble = True
    await host.put("M1", "a@one.example")
    await run(host, failed())
    row = (await host.rows())["a@one.example"]
    assert row.state == "waiting"
    assert row.next_attempt_at == START + 120 * SECOND
    assert await host.contents() == 1
    host.report_trouble = False
    host.runner = host.make_runner()
    host.clock.advance(180)
    await run(host, failed())
    assert (await host.rows())["a@one.example"].state == "failed"
    assert len(host.reports) == 1


@pytest_twisted.ensureDeferred
async def test_success_is_reported_where_the_next_hop_will_not(host):
    notify = Notify.SUCCESS.value
    await host.put("M1", "a@one.example", "b@one.example", "c@one.example", notify=notify)
    await host.put("M2", "d@ours.example", "list@ours.example", "away@ours.example", notify=notify)
    ours = replace(delivered(), peer=LOCAL_PEER)
    host.local_answers["list@ours.example"] = replace(ours, is_expanded=True)
    host.local_answers["away@ours.example"] = replace(ours, dsn_relayed=True)
    await host.put("M3", "e@else.example")
    await run(host, delivered(), delivered(dsn_relayed=True), delivered())
    told = {
        block["Final-Recipient"]: block["Action"] for _, content in host.reports for block in status_of(content)[1:]
    }
    assert told == {
        "rfc822; a@one.example": "relayed",
        "rfc822; c@one.example": "relayed",
        "rfc822; d@ours.example": "delivered",
        "rfc822; list@ours.example": "expanded",
    }


@pytest_twisted.ensureDeferred
async def test_a_result_is_written_though_the_store_stumbles(host, monkeypatch, capsys):
    await host.put("M1", "a@one.example")
    record, stumbles = host.spool.record, [1, 2]

    async def stumbling(results):
        if stumbles:
            stumbles.pop()
            raise StoreTrouble("locked")
        await record(results)

    monkeypatch.setattr(host.spool, "record", stumbling)
    await host.runner.start()
    await host.until(lambda: len(stumbles) == 1)
    host.clock.advance(0.5)
    await host.until(lambda: not stumbles)
    host.clock.advance(1)
    await host.settle()
    assert (await host.rows())["a@one.example"].state == "delivered"
    assert host.remote.tries("one.example") == 1
    await host.runner.stop()


@pytest_twisted.ensureDeferred
async def test_hostile_words_are_bounded_in_the_timeline(host):
    nasty = failed("\r\n\x00\x1b[31m" + "x" * 5000)
    await host.put("M1", "a@one.example")
    await run(host, replace(nasty, peer="evil\r\nname[192.0.2.1]"))
    detail = (await host.events())[0][2]
    assert len(detail) <= 1000
    assert detail.isprintable()
