"""Results: what they leave in the tables, and when content goes."""

import pytest
import pytest_twisted
from sqlalchemy import func, select, update

from mailstack.store import claims
from mailstack.store.acceptance import Expansion, LocalCopy, RemoteCopy
from mailstack.store.claims import Due, Want
from mailstack.store.content import ContentStore
from mailstack.store.schema import content, delivery, event, maildrop_entry, message
from mailstack.store.spool import Result, Spool
from tests.store.rows import add_account, add_domain
from tests.store.spooled import LEASE, SECOND, START, STEP, claim, events, put_message, rows, terms


@pytest.fixture
def spool(each_database, tmp_path):
    return Spool(each_database, ContentStore(tmp_path / "content", 1024))


def result(due, queue_id, state="delivered", *told, **changes):
    values = {
        "delivery_id": due.delivery_id,
        "queue_id": queue_id,
        "recipient": str(due.recipient.address),
        "at": START,
        "state": state,
        "next_attempt_at": due.retry_at,
        "last_reply": "250 ok",
        "is_delay_told": False,
        "events": tuple((START, *words) for words in told),
    }
    return Result(**(values | changes))


def contents(connection):
    return connection.scalar(select(func.count()).select_from(content))


@pytest_twisted.ensureDeferred
async def test_the_content_goes_with_the_last_delivery(spool, each_database):
    await each_database.write(lambda c: put_message(c, "M1", ["a@one.example", "b@two.example"]))
    one, two = (await each_database.write(lambda c: claim(c, "one.example", "two.example"))).units
    found = await spool.contents([one, two])
    assert [await kept.start(100) for kept in found.values()] == [b"Subject: x\r\n\r\nbody\r\n"]
    await spool.record([result(one.recipients[0], "M1", "delivered", ("delivered", "by mx"))])
    assert await each_database.read(contents) == 1
    await spool.record([result(two.recipients[0], "M1", "failed", ("failed", "550 no"), ("bounced", "as M2"))])
    assert await each_database.read(contents) == 0
    assert await each_database.read(events) == [
        ("delivered", "a@one.example", "by mx"),
        ("failed", "b@two.example", "550 no"),
        ("bounced", "b@two.example", "as M2"),
    ]
    assert {row.state for row in (await each_database.read(rows)).values()} == {"delivered", "failed"}


@pytest_twisted.ensureDeferred
async def test_a_recipient_of_ours_is_served_in_the_commit_that_ends_its_delivery(spool, each_database):
    def put(connection):
        add_domain(connection, "example.org")
        ann = add_account(connection, "ann@example.org")
        put_message(connection, "M1", ["list@example.org"])
        return ann

    ann = await each_database.write(put)
    (unit,) = (await each_database.write(lambda c: claim(c, "example.org"))).units
    expansion = Expansion(
        (LocalCopy(ann, "ann@example.org", b"Return-Path: <>\r\n"),),
        (RemoteCopy("b@two.example", "two.example", 0, "rfc822;list@example.org"),),
    )
    await spool.record([result(unit.recipients[0], "M1", expansion=expansion)])
    found = await each_database.read(rows)
    assert (found["list@example.org"].state, found["b@two.example"].state) == ("delivered", "waiting")
    assert (found["b@two.example"].notify, found["b@two.example"].orcpt) == (0, "rfc822;list@example.org")
    assert ("delivered", "ann@example.org", "into the mailbox") in await each_database.read(events)
    kept = await each_database.read(lambda c: c.execute(select(maildrop_entry.c.account_id)).all())
    assert [row.account_id for row in kept] == [ann]
    await spool.record([result(unit.recipients[0], "M1", expansion=expansion)])
    assert len(await each_database.read(lambda c: c.execute(select(delivery.c.id)).all())) == 2, "once only"
    (to_two,) = (await each_database.write(lambda c: claim(c, "two.example"))).units
    await spool.record([result(to_two.recipients[0], "M1")])
    assert await each_database.read(contents) == 1, "the maildrop still needs it"


@pytest.mark.parametrize("is_bulk", [True, False])
@pytest_twisted.ensureDeferred
async def test_what_a_recipient_becomes_stays_in_its_lane(spool, each_database, is_bulk):
    def put(connection):
        put_message(connection, "M1", ["list@example.org"])
        connection.execute(update(delivery).values(is_bulk=is_bulk))
        want = Want("example.org", "example.org", 10, False, is_bulk)
        return claims.claim(connection, [want], terms(START))

    (unit,) = (await each_database.write(put)).units
    expansion = Expansion((), (RemoteCopy("b@two.example", "two.example", None, None),))
    await spool.record([result(unit.recipients[0], "M1", expansion=expansion)])
    assert (await each_database.read(rows))["b@two.example"].is_bulk is is_bulk


@pytest_twisted.ensureDeferred
async def test_a_deferral_ends_the_lease_and_keeps_the_words(spool, each_database):
    await each_database.write(lambda c: put_message(c, "M1", ["a@one.example"]))
    (unit,) = (await each_database.write(lambda c: claim(c, "one.example"))).units
    again = START + 7 * STEP
    told = result(
        unit.recipients[0], "M1", "waiting", next_attempt_at=again, last_reply="450 later", is_delay_told=True
    )
    await spool.record([told])
    row = (await each_database.read(rows))["a@one.example"]
    assert (row.state, row.next_attempt_at, row.leased_until, row.last_reply, row.delay_told, row.attempts) == (
        "waiting",
        again,
        None,
        "450 later",
        True,
        1,
    )


@pytest_twisted.ensureDeferred
async def test_a_hold_during_the_attempt_outlives_a_deferral_but_not_a_delivery(spool, each_database):
    await each_database.write(lambda c: put_message(c, "M1", ["a@one.example", "b@one.example"]))
    (unit,) = (await each_database.write(lambda c: claim(c, "one.example"))).units
    await each_database.write(
        lambda c: c.execute(update(delivery).values(state="held", held_by="administrator")).close()
    )
    a, b = unit.recipients
    await spool.record([result(a, "M1", "waiting"), result(b, "M1", "delivered")])
    found = await each_database.read(rows)
    assert (found["a@one.example"].state, found["a@one.example"].held_by) == ("held", "administrator")
    assert (found["b@one.example"].state, found["b@one.example"].held_by) == ("delivered", None)


@pytest_twisted.ensureDeferred
async def test_work_not_done_goes_back_as_it_was(spool, each_database):
    await each_database.write(lambda c: put_message(c, "M1", ["a@one.example"], attempts=2))
    units = (await each_database.write(lambda c: claim(c, "one.example"))).units
    await spool.give_back(units)
    row = (await each_database.read(rows))["a@one.example"]
    assert (row.attempts, row.next_attempt_at, row.leased_until) == (2, START, None)


@pytest_twisted.ensureDeferred
async def test_leases_are_renewed_and_on_sqlite_void_at_the_start(spool, each_database):
    await each_database.write(lambda c: put_message(c, "M1", ["a@one.example"]))
    (unit,) = (await each_database.write(lambda c: claim(c, "one.example"))).units
    await spool.renew_leases([unit.recipients[0].delivery_id], START + 2 * LEASE)
    assert (await each_database.read(rows))["a@one.example"].leased_until == START + 2 * LEASE
    await spool.void_leases()
    left = (await each_database.read(rows))["a@one.example"].leased_until
    assert left == (None if each_database.is_sqlite else START + 2 * LEASE)


@pytest_twisted.ensureDeferred
async def test_old_finished_messages_are_forgotten_and_open_ones_are_not(spool, each_database):
    await each_database.write(lambda c: put_message(c, "MDONE", ["a@one.example"], state="delivered"))
    await each_database.write(lambda c: put_message(c, "MOPEN", ["b@one.example"]))
    await each_database.write(
        lambda c: put_message(c, "MHELD", ["c@one.example"], state="held", held_by="administrator")
    )
    await each_database.write(
        lambda c: put_message(c, "MNEW", ["d@one.example"], state="failed", at=START + 10 * SECOND)
    )
    assert await spool.forget_finished(START + SECOND) is False
    left = await each_database.read(lambda c: sorted(c.scalars(select(message.c.id))))
    assert left == ["MHELD", "MNEW", "MOPEN"]
    assert await each_database.read(contents) == 3


@pytest_twisted.ensureDeferred
async def test_the_spool_claims_and_walks(spool, each_database):
    await each_database.write(lambda c: put_message(c, "M1", ["a@one.example"]))
    assert await spool.due_domains(START, None) == ([Due("one.example")], None)

    claimed = await spool.claim([Want("one.example", "one.example", 10)], terms())
    assert len(claimed.units) == 1
    assert await spool.due_domains(START, None) == ([], None)
    assert await each_database.read(lambda c: c.scalar(select(func.count()).select_from(event))) == 0
