"""The one commit behind 250, on both databases."""

from sqlalchemy import Connection, func, select

from mailstack.policy.limits import Over, Per
from mailstack.store import schema
from mailstack.store.acceptance import Addressed, accept_many, deliver_to_maildrops, octets_used
from mailstack.store.database import Database
from mailstack.store.submissions import Kept, OverLimit, Terms
from mailstack.store.timeline import trace
from tests.store.letters import NOW, SECOND, add_account, letter, local, remote, rule, submitter


def count(connection: Connection, table: str) -> int:
    return connection.scalar(select(func.count()).select_from(schema.metadata.tables[table])) or 0


def test_local_and_remote_recipients_are_kept_together(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann, bob = add_account(connection), add_account(connection, "bob@example.test")
        letters = [
            letter("M1", local(ann, "ann@example.test"), local(bob, "bob@example.test"), remote("x@far.test")),
            letter("M2", remote("y@far.test"), remote("z@far.test")),
        ]
        assert accept_many(connection, letters) == [Kept(), Kept()]
        assert [count(connection, name) for name in ("content", "message", "maildrop_entry", "delivery")] == [
            2,
            2,
            2,
            3,
        ]
        assert octets_used(connection, [ann, bob]) == {ann: 24, bob: 24}
        rows = connection.execute(select(schema.event.c.event, schema.event.c.recipient).order_by(schema.event.c.id))
        assert rows.all() == [
            ("accepted", ""),
            ("delivered", "ann@example.test"),
            ("delivered", "bob@example.test"),
            ("accepted", ""),
        ]

    each_database.write_now(work)


def test_an_alias_is_on_the_timeline_and_so_are_its_targets(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        targets = (local(ann, "ann@example.test").local, remote("x@f.test").remote)
        accept_many(connection, [letter("M1", Addressed(remote("info@example.test").as_held, *targets))])
        accept_many(connection, [letter("M2", local(ann, "ann@example.test"))])
        rows = connection.execute(select(schema.event.c.event, schema.event.c.recipient, schema.event.c.detail))
        assert [row for row in rows if row.recipient] == [
            ("delivered", "ann@example.test", "into the mailbox"),
            ("accepted", "info@example.test", "goes to ann@example.test and 1 more"),
            ("delivered", "ann@example.test", "into the mailbox"),
        ]
        (found,) = trace(connection, "info@example.test")
        assert [one["recipient"] for one in found["recipients"]] == ["x@f.test", "ann@example.test"]
        assert len(trace(connection, "ann@example.test")) == 2

    each_database.write_now(work)


def test_each_letter_keeps_its_own_content(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        letters = [letter(f"M{n}", local(ann, "ann@example.test"), header_message_id=f"{n}") for n in range(50)]
        for number, each in enumerate(letters):
            each.content = type(each.content)(5, b"%05d" % number, None)
        accept_many(connection, letters)
        rows = connection.execute(
            select(schema.message.c.header_message_id, schema.content.c.body)
            .join(schema.content, schema.content.c.id == schema.message.c.content_id)
        ).all()  # fmt: skip
        assert sorted(int(row.body) for row in rows) == list(range(50))
        assert all(int(row.body) == int(row.header_message_id) for row in rows)

    each_database.write_now(work)


def test_one_copy_for_one_account_however_it_was_addressed(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        accept_many(connection, [letter("M1", local(ann, "ann@example.test"), local(ann, "info@example.test"))])
        assert count(connection, "maildrop_entry") == 1

    each_database.write_now(work)


def test_one_delivery_for_one_address_however_often_it_was_named(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        add_account(connection)
        far = remote("x@far.test")
        alias = Addressed(remote("info@example.test").as_held, (), (*far.remote, *remote("y@far.test").remote))
        accept_many(connection, [letter("M1", far, alias, far)])
        assert connection.scalars(select(schema.delivery.c.recipient)).all() == ["x@far.test", "y@far.test"]

    each_database.write_now(work)


def test_a_refusing_limit_writes_nothing(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        who = submitter(ann, rule(2, over=Over.REFUSE))
        verdicts = accept_many(
            connection,
            [
                letter("M1", remote("a@far.test"), remote("b@far.test"), submitter=who),
                letter("M2", remote("c@far.test"), submitter=who),
            ],
        )
        assert isinstance(verdicts[0], Kept)
        assert isinstance(verdicts[1], OverLimit)
        assert str(verdicts[1].frees_at) == "2027-01-01 01:00:01+00:00"
        assert count(connection, "message") == 1
        assert connection.scalar(select(func.sum(schema.usage.c.recipients))) == 2

    each_database.write_now(work)


def test_a_holding_limit_lets_the_first_go_and_keeps_the_rest(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        who = submitter(ann, rule(2))
        (first,) = accept_many(
            connection, [letter("M1", *map(remote, ("a@f.test", "b@f.test", "c@f.test")), submitter=who)]
        )
        assert isinstance(first, Kept)
        assert (first.held, first.held_by) == (("c@f.test",), "limit: 2 recipients per hour for every account")
        (later,) = accept_many(
            connection, [letter("M2", remote("d@f.test"), submitter=who, created_at=NOW + 7200 * SECOND)]
        )
        assert isinstance(later, Kept)
        assert later.held == ("d@f.test",), "who came later waits behind what is held already"
        states = connection.execute(select(schema.delivery.c.recipient, schema.delivery.c.state)).all()
        assert dict(states) == {"a@f.test": "waiting", "b@f.test": "waiting", "c@f.test": "held", "d@f.test": "held"}  # type: ignore[arg-type]

    each_database.write_now(work)


def test_a_cap_on_the_recipients_of_a_message_is_judged_in_the_commit_too(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        who = submitter(ann, rule(2, over=Over.REFUSE, per=Per.MESSAGE))
        three = letter("M1", *map(remote, ("a@f.test", "b@f.test", "c@f.test")), submitter=who)
        (verdict,) = accept_many(connection, [three])
        assert verdict == OverLimit(who.rules[0], None)
        assert count(connection, "usage") == count(connection, "known_recipient") == 0

    each_database.write_now(work)


def test_mail_to_many_and_what_goes_beyond_the_hour_s_number_is_bulk(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        who, terms = submitter(ann), Terms(bulk_recipients=3, bulk_per_hour=6)
        for name, number in (("MFEW", 3), ("MMANY", 4), ("MLATER", 1)):
            copies = [remote(f"{name}{each}@far.test") for each in range(number)]
            accept_many(connection, [letter(name, *copies, submitter=who, terms=terms)])
        targets = tuple(x.as_held for x in map(remote, ("a@f.test", "b@f.test", "c@f.test", "d@f.test")))
        list_of_four = Addressed(remote("list@example.test").as_held, remote=targets)
        accept_many(connection, [letter("MLIST", list_of_four, terms=terms)])
        lanes = connection.execute(select(schema.delivery.c.message_id, schema.delivery.c.is_bulk).distinct()).all()
        assert dict(lanes) == {"MFEW": False, "MMANY": True, "MLATER": True, "MLIST": True}  # type: ignore[arg-type]

    each_database.write_now(work)


def test_a_recipient_twice_in_a_message_is_first_time_once(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        who = submitter(ann, rule(None, over=Over.REFUSE, first_time=1))
        mail = letter("M1", remote("Carol@far.test"), remote("carol@far.test"), submitter=who)
        (verdict,) = accept_many(connection, [mail])
        assert isinstance(verdict, Kept)
        found = connection.execute(select(schema.known_recipient.c.address)).scalars().all()
        assert found == ["carol@far.test"]

    each_database.write_now(work)


def test_submissions_without_rules_are_counted(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        accept_many(connection, [letter("M1", local(ann, "ann@example.test"), submitter=submitter(ann))])
        accept_many(connection, [letter("M2", remote("x@far.test"), remote("y@f.test"), submitter=submitter(ann))])
        assert connection.execute(select(schema.usage.c.messages, schema.usage.c.recipients)).all() == [(2, 3)]

    each_database.write_now(work)


def test_delivery_from_the_queue_is_once_only(each_database: Database) -> None:
    def work(connection: Connection) -> None:
        ann = add_account(connection)
        accept_many(connection, [letter("M1", remote("ann@example.test"))])
        copy = local(ann, "ann@example.test").local
        gone = local(ann + 100, "gone@example.test").local
        for _ in range(2):
            deliver_to_maildrops(connection, "M1", [*copy, *gone], NOW)
        assert count(connection, "maildrop_entry") == 1
        assert octets_used(connection, [ann]) == {ann: 24}

    each_database.write_now(work)
