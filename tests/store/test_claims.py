"""Claiming: the next attempt before the try, one unit for one destination, nobody behind another's backlog."""

from datetime import UTC, datetime

from sqlalchemy import text

from mailstack.mail.address import parse_address
from mailstack.mail.envelope import Body, Notify, Recipient, Ret
from mailstack.store import claims
from mailstack.store.claims import SPREAD_SECONDS, UNIT_RECIPIENTS, WALK_DOMAINS, Due
from tests.store.spooled import LEASE, SECOND, START, STEP, claim, put_message, rows


def all_due(connection, now=START):
    found, after = [], None
    while True:
        domains, after = claims.due_domains(connection, now, after)
        found += [due.domain for due in domains]
        if after is None:
            return found


def test_the_next_attempt_is_written_before_the_try(each_database):
    def work(connection):
        put_message(connection, "M1", ["bob@one.example"])
        (unit,) = claim(connection, "one.example").units
        assert unit.recipients[0].attempts == 1
        row = rows(connection)["bob@one.example"]
        assert (row.state, row.attempts, row.next_attempt_at, row.leased_until) == (
            "waiting",
            1,
            START + STEP,
            START + LEASE,
        )
        assert claim(connection, "one.example").units == []
        # A crash: the lease is older than the next attempt, and holds as long as it was given.
        assert claim(connection, "one.example", now=START + STEP).units == []
        assert len(claim(connection, "one.example", now=START + LEASE).units) == 1

    each_database.write_now(work)


def test_a_unit_carries_all_that_the_attempt_needs(each_database):
    def work(connection):
        put_message(
            connection,
            "M1",
            ['"o\'b b"@one.example'],
            body=b"x" * 99,
            ret="FULL",
            envid="env",
            notify=Notify.SUCCESS.value,
            orcpt="rfc822;ob@one.example",
            smtputf8=True,
        )
        (unit,) = claim(connection, "one.example").units
        recipient = Recipient(parse_address('"o\'b b"@one.example'), Notify.SUCCESS, "rfc822;ob@one.example")
        assert unit.envelope.reverse_path == parse_address("alice@example.org")
        assert unit.envelope.recipients == [recipient]
        assert (unit.envelope.ret, unit.envelope.envid, unit.envelope.smtputf8) == (Ret.FULL, "env", True)
        assert unit.envelope.body is Body.SEVEN_BIT
        assert (unit.size_octets, unit.queue_id, unit.domain) == (99, "M1", "one.example")
        assert unit.arrived_at == datetime(2026, 5, 1, 12, tzinfo=UTC)

    each_database.write_now(work)


def test_recipients_of_one_domain_go_together_even_where_the_claim_ends(each_database):
    def work(connection):
        put_message(connection, "M1", [f"u{n}@one.example" for n in range(8)] + ["x@two.example"])
        claimed = claim(connection, "one.example", most=3)
        assert [len(unit.recipients) for unit in claimed.units] == [8]
        assert claimed.exhausted == set()
        assert len({row.next_attempt_at for row in rows(connection).values() if row.attempts}) == 1
        assert claim(connection, "one.example").exhausted == {Due("one.example")}

    each_database.write_now(work)


def test_a_transaction_has_a_bounded_number_of_recipients(each_database):
    def work(connection):
        put_message(connection, "M1", [f"u{n}@one.example" for n in range(UNIT_RECIPIENTS + 5)])
        units = claim(connection, "one.example", most=1000).units
        assert [len(unit.recipients) for unit in units] == [UNIT_RECIPIENTS, 5]

    each_database.write_now(work)


def test_domains_of_one_smarthost_share_a_transaction(each_database):
    def work(connection):
        put_message(connection, "M1", ["a@one.example", "b@two.example", "c@three.example"])
        put_message(connection, "M2", ["d@one.example"])
        units = claim(connection, "one.example", "two.example", smarthost=True).units
        assert sorted(len(unit.recipients) for unit in units) == [1, 3]
        assert {unit.key for unit in units} == {"smarthost"}

    each_database.write_now(work)


def test_a_message_of_very_many_domains_keeps_no_other_from_its_claim(each_database, monkeypatch):
    monkeypatch.setattr(claims, "COMPANIONS_MOST", 2)

    def work(connection):
        put_message(connection, "M1", ["bob@one.example", *(f"bob@d{number}.example" for number in range(9))])
        put_message(connection, "M2", ["eve@one.example"])
        claimed = claim(connection, "one.example", smarthost=True)
        told = {unit.queue_id: {str(due.recipient.address) for due in unit.recipients} for unit in claimed.units}
        assert "bob@one.example" in told["M1"]
        assert told["M2"] == {"eve@one.example"}

    each_database.write_now(work)


def test_the_walk_names_each_domain_with_due_mail_once(each_database):
    def work(connection):
        put_message(connection, "M1", [f"u{n}@busy.example" for n in range(50)])
        put_message(connection, "M2", ["a@other.example", "b@zebra.example"])
        put_message(connection, "M3", ["c@later.example"], next_attempt_at=START + 1)
        put_message(connection, "M4", ["d@held.example"], state="held", held_by="administrator")
        put_message(connection, "M5", ["e@leased.example"], leased_until=START + 1)
        put_message(connection, "M6", ["f@asked.example"], leased_until=0)
        due = ["asked.example", "busy.example", "other.example", "zebra.example"]
        assert sorted(all_due(connection)) == due
        assert "later.example" in all_due(connection, START + 1)

    each_database.write_now(work)


def test_the_walk_goes_on_in_steps(each_database, monkeypatch):
    monkeypatch.setattr(claims, "WALK_DOMAINS", 3)

    def work(connection):
        put_message(connection, "M1", [f"a@d{n}.example" for n in range(8)])
        assert claims.due_domains(connection, START, None) == ([Due(f"d{n}.example") for n in range(3)], "d2.example")
        assert sorted(all_due(connection)) == [f"d{n}.example" for n in range(8)]

    each_database.write_now(work)
    assert WALK_DOMAINS > 3


def test_retries_overdue_at_the_start_are_spread_and_new_mail_is_not(each_database):
    started = START

    def work(connection):
        late = [f"u{n}@one.example" for n in range(120)]
        overdue = put_message(connection, "M1", late, attempts=3, at=START - SECOND)
        put_message(connection, "M2", ["new@one.example"])
        put_message(connection, "M3", ["asked@one.example"], attempts=3, leased_until=0, at=START - SECOND)

        def at(second):
            units = claim(connection, "one.example", now=started + second * SECOND, most=1000, started=started).units
            return [str(due.recipient.address) for unit in units for due in unit.recipients]

        first = at(0)
        assert {"new@one.example", "asked@one.example"} <= set(first)
        assert len(first) <= 2 + 2
        half = at(SPREAD_SECONDS // 2)
        assert 0.3 * len(overdue) < len(half) < 0.7 * len(overdue)
        assert len(first) + len(half) + len(at(SPREAD_SECONDS)) == len(overdue) + 2

    each_database.write_now(work)


def test_an_administrator_s_wish_is_seen(each_database):
    def work(connection):
        put_message(connection, "M1", ["a@one.example"], attempts=3, leased_until=0)
        (unit,) = claim(connection, "one.example").units
        assert unit.is_urgent
        assert unit.recipients[0].attempts == 4

    each_database.write_now(work)


def test_two_nodes_never_claim_the_same(postgres_url, tmp_path):
    from mailstack.store.database import Database

    database = Database.open(postgres_url, tmp_path)
    try:
        database.write_now(lambda connection: put_message(connection, "M1", ["a@one.example", "b@one.example"]))

        def first(connection):
            assert len(claim(connection, "one.example").units) == 1
            # The other node does not wait for this one's commit either.
            return database.write_now(lambda other: claim(other, "one.example")).units

        assert database.write_now(first) == []
    finally:
        database.close()


def test_claims_read_their_own_part_of_the_index(database):
    """The plans, for a cost that does not grow with the queue."""

    def plan(connection, statement):
        compiled = str(statement.compile(connection, compile_kwargs={"render_postcompile": True}))
        values = {"now": 1, "most": 1, "started": 1, "elapsed": 1, "domain": "x", "is_bulk": False, "message": "M"}
        names = statement.compile(connection, compile_kwargs={"render_postcompile": True}).positiontup or []
        arguments = tuple(values.get(name, 60) for name in names)
        return " | ".join(row[3] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + compiled, arguments))

    def work(connection):
        heads = plan(connection, claims._HEADS)
        assert "ix_delivery_due (domain=? AND is_bulk=? AND next_attempt_at<?)" in heads
        assert "TEMP B-TREE" not in heads
        walk = " | ".join(
            row[3]
            for row in connection.execute(
                text("EXPLAIN QUERY PLAN " + claims._WALK_ON.text), {"now": 1, "most": 1, "after": ""}
            )
        )
        assert "SCAN delivery" not in walk
        assert "ix_delivery_due (domain=? AND is_bulk=? AND next_attempt_at<?)" in walk
        assert "ix_delivery_due (domain>?)" in walk

    database.write_now(work)
