"""Mail of another host taken into an account: once however often it is run, and within quota and size."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from mailstack.mail.source_message import SourceMessage
from mailstack.management import accounts, domains, mail_import
from mailstack.management.actor import Actor, Refused
from mailstack.management.domains import DomainTerms
from mailstack.management.mail_import import Listener, Summary, Terms, Why, import_mail
from mailstack.management.mail_import_names import Names
from mailstack.store.content import ContentStore
from mailstack.store.database import Connection, Database, StoreTrouble
from mailstack.store.imported_mail import ImportedEntry, Outcome, add_imported
from mailstack.store.occurrences import Occurrences
from mailstack.store.passwords import PasswordHashes
from mailstack.store.schema import account, audit_entry, content, mailbox, maildrop_entry

ROOT = Actor("root", "command line", all_domains=True)
ANN = "ann@example.test"
INLINE = 1000
BIG = b"A: big\r\n\r\n" + b"x" * 5000
AT = 1_700_000_000_000_000


class Letters(list[SourceMessage]):
    """A source in memory."""

    @property
    def total(self) -> int:
        return len(self)


def message(octets: bytes, unique_id: str = "", received_at: int | None = AT, name: str = "one") -> SourceMessage:
    return SourceMessage(name, unique_id, received_at, 1, lambda: iter([octets]))


def unreadable(after: bytes = b"") -> SourceMessage:
    def chunks() -> Iterator[bytes]:
        yield after
        raise OSError("the disk is worn")

    return SourceMessage("bad", "bad-id" if after else "", AT, 1, chunks)


class Bench:
    """A host with an account, and what became of imports into it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder / "content"
        self.contents = ContentStore(self.folder, INLINE)
        self.told: list[tuple[str, str]] = []
        self.advanced = 0
        self.account_id = database.write_now(self._fill)

    @staticmethod
    def _fill(connection: Connection) -> int:
        domains.add(connection, ROOT, "example.test", DomainTerms())
        accounts.add(connection, ROOT, ANN, PasswordHashes("hash", "scram"))
        return accounts.number_of(connection, ROOT, ANN)[0]

    def run(self, *messages: SourceMessage, actor: Actor = ROOT, address: str = ANN, **terms: bool) -> Summary:
        listener = Listener(self._advance, lambda name, why: self.told.append((name, why)))
        limits = Terms(max_octets=10_000, **terms)
        return import_mail(self.database, actor, self.contents, address, Letters(messages), "mbox /x", limits, listener)

    def _advance(self, weight: int) -> None:
        self.advanced += weight

    def entries(self) -> list[tuple[str, int, bytes, int]]:
        """Unique-id, octets counted, octets kept, and time, in the order of POP3."""
        query = (
            select(maildrop_entry, content.c.body, content.c.file)
            .join(content, content.c.id == maildrop_entry.c.content_id)
            .order_by(maildrop_entry.c.id)
        )
        rows = self.database.read_now(lambda connection: connection.execute(query).all())
        return [
            (row.unique_id, row.size_octets, row.body or (self.folder / row.file).read_bytes(), row.received_at)
            for row in rows
        ]

    def unique_ids(self) -> list[str]:
        return [entry[0] for entry in self.entries()]

    def used(self) -> tuple[int, int]:
        query = select(mailbox.c.used_messages, mailbox.c.used_octets).where(mailbox.c.account_id == self.account_id)
        return tuple(self.database.read_now(lambda connection: connection.execute(query).one()))  # type: ignore[return-value]

    def files(self) -> int:
        return sum(path.is_file() for path in self.folder.rglob("*"))

    def set_quota(self, octets: int) -> None:
        self.database.write_now(lambda connection: connection.execute(update(account).values(quota_octets=octets)))


@pytest.fixture
def bench(each_database: Database, tmp_path: Path) -> Bench:
    return Bench(each_database, tmp_path)


def test_mail_is_kept_as_it_was_with_its_unique_ids_and_counted(bench: Bench) -> None:
    small = b"A: 1\r\n\r\n\x00\xff\r"
    summary = bench.run(message(small, "u1"), message(BIG, "u2", None), message(small))
    assert (summary.imported, summary.octets, summary.present) == (3, 2 * len(small) + len(BIG), 0)
    assert summary.renamed == 1
    first, second, third = bench.entries()
    assert first == ("u1", len(small), small, AT)
    assert second[:3] == ("u2", len(BIG), BIG)
    assert second[3] > AT, "received now, as nobody knows when"
    assert third[1:] == first[1:]
    assert bench.used() == (3, summary.octets)
    assert (bench.files(), bench.advanced) == (1, 3)


def test_a_second_run_passes_over_what_is_there(bench: Bench) -> None:
    same = message(b"A: same\r\n")
    letters = [same, message(BIG), same, message(b"A: 1\r\n", "u"), message(b"A: 2\r\n", "u"), same]
    assert bench.run(*letters).imported == 6
    before = bench.entries()
    unique_ids = bench.unique_ids()
    assert len(set(unique_ids)) == 6, "equal messages are different mails"
    assert all(len(unique_id) <= 70 for unique_id in unique_ids)
    again = bench.run(*letters, same, message(b"A: same\r\n", received_at=AT + 1_000_000))
    assert (again.imported, again.present) == (2, 6)
    assert bench.entries()[:6] == before
    assert (bench.files(), bench.used()[0]) == (1, 8)


def test_mail_that_got_its_uidl_after_the_first_run_does_not_come_twice(bench: Bench) -> None:
    same, other = b"A: same\r\n", message(BIG, "u9")
    bench.run(message(same), message(same), other)
    before = bench.unique_ids()
    numbered = [message(same, "u1"), message(same), message(same, "u3"), other]
    assert bench.run(*numbered, dry_run=True).imported == 1
    summary = bench.run(*numbered)
    assert (summary.imported, summary.present) == (1, 3)
    assert bench.unique_ids() == [*before, "u3"]
    assert bench.run(*numbered).present == 4
    assert bench.run(*numbered[::-1]).present == 4


def test_unique_ids_that_pop3_cannot_show_are_replaced(bench: Bench) -> None:
    letters = [message(b"A: %d\r\n" % n, text) for n, text in enumerate(["", "a b", "x" * 71, "é", "a\nb", "!" * 70])]
    bench.run(*letters)
    shown = bench.unique_ids()
    assert shown[5] == "!" * 70
    assert all(unique_id.isalnum() for unique_id in shown[:5])
    assert bench.run(*letters).present == 6


def test_a_chosen_uidl_cannot_take_the_place_of_a_hash() -> None:
    same = message(b"A: same\r\n")
    plain = Names(Occurrences())
    first, second = plain.name(same), plain.name(same)
    names = Names(Occurrences())
    taken = [names.name(message(b"A: x\r\n", first)), names.name(message(b"A: y\r\n", second))]
    ours = [names.name(same), names.name(same)]
    assert len({*taken, *ours}) == 4


def test_what_is_left_out_is_told_and_stops_nothing(bench: Bench) -> None:
    letters = [
        message(b"no header\r\n", "a", name="a"),
        message(b"", "b", name="b"),
        message(b"A: large\r\n\r\n" + b"x" * 10_000, "c", name="c"),
        unreadable(),
        unreadable(b"A: begins well\r\n\r\n" + b"x" * 2000),
        message(b"A: good\r\n", "good"),
    ]
    for terms in ({"dry_run": True}, {}):
        bench.told.clear()
        summary = bench.run(*letters, **terms)
        assert summary.imported == 1
        assert summary.left_out == {Why.NO_HEADER: 2, Why.TOO_LARGE: 1, Why.UNREADABLE: 2}
        assert sorted(bench.told) == [
            ("a", "begins with no header field"),
            ("b", "begins with no header field"),
            ("bad", "could not be read: the disk is worn"),
            ("bad", "could not be read: the disk is worn"),
            ("c", "is larger than `max_message_size`"),
        ]
    assert bench.unique_ids() == ["good"]
    assert bench.files() == 0


def test_a_quota_is_kept_unless_it_is_waived(bench: Bench) -> None:
    bench.set_quota(len(BIG) + 12)
    letters = [message(b"A: 1\r\n", "1"), message(BIG, "2"), message(BIG, "3"), message(b"A: 4\r\n", "4")]
    planned = bench.run(*letters, dry_run=True)
    assert bench.entries() == []
    summary = bench.run(*letters)
    assert summary == planned
    assert (summary.imported, summary.left_out) == (3, {Why.OVER_QUOTA: 1})
    assert bench.unique_ids() == ["1", "2", "4"]
    assert bench.files() == 1
    assert bench.run(*letters, over_quota=True).imported == 1
    assert bench.used() == (4, 2 * len(BIG) + 12)


def test_each_batch_is_kept_when_a_later_one_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_import, "BATCH_MESSAGES", 2)

    class Worn(Letters):
        def __iter__(self) -> Iterator[SourceMessage]:
            yield from list.__iter__(self)
            raise OSError("worn")

    letters = Worn(message(b"A: %d\r\n" % n) for n in range(5))
    listener = Listener(lambda _weight: None, lambda _name, _why: None)
    with pytest.raises(OSError, match="worn"):
        import_mail(bench.database, ROOT, bench.contents, ANN, letters, "mbox /x", Terms(10_000), listener)
    assert len(bench.entries()) == 4
    whole = bench.run(*list.__iter__(letters))
    assert (whole.imported, whole.present) == (1, 4)


def test_a_full_disk_of_ours_is_no_fault_of_the_message(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        bench.run(message(BIG, "big"))
    assert bench.entries() == []
    assert bench.files() == 0


def test_it_stops_before_the_server_has_to_refuse_mail(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.contents, "free_space", lambda: (1 << 30, 100 << 30))
    assert bench.run(message(b"A: 1\r\n"), dry_run=True).imported == 1
    with pytest.raises(Refused, match="nearly full"):
        bench.run(message(b"A: 1\r\n"))
    assert bench.entries() == []


def test_a_commit_whose_answer_was_lost_keeps_its_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes in the COMMIT, which succeeds: the unit is run again and finds its own rows."""
    write_now = bench.database.write_now

    def twice(work: Callable[[Connection], object]) -> object:
        write_now(work)
        return write_now(work)

    monkeypatch.setattr(bench.database, "write_now", twice)
    assert bench.run(message(BIG, "big")).imported == 1
    assert [entry[:3] for entry in bench.entries()] == [("big", len(BIG), BIG)]
    assert bench.used() == (1, len(BIG))


def test_a_database_that_fails_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_arguments: object, **_options: object) -> None:
        raise StoreTrouble("gone")

    monkeypatch.setattr(mail_import, "add_imported", away)
    with pytest.raises(StoreTrouble):
        bench.run(message(b"A: 1\r\n"))


def test_two_imports_at_once_put_each_message_in_once(bench: Bench) -> None:
    staged = bench.contents.stage_now([BIG])
    other = bench.contents.stage_now([BIG])

    def add(connection: Connection) -> list[Outcome]:
        first = add_imported(connection, bench.account_id, [ImportedEntry("u", AT, staged)], AT, over_quota=False)
        return first + add_imported(connection, bench.account_id, [ImportedEntry("u", AT, other)], AT, over_quota=False)

    assert bench.database.write_now(add) == [Outcome.ADDED, Outcome.THERE]


def test_both_ends_of_an_import_are_on_the_audit_log(bench: Bench) -> None:
    bench.run(message(b"A: 1\r\n"), message(b"none\r\n"), dry_run=True)
    bench.run(message(b"A: 1\r\n"), message(b"none\r\n"))
    query = select(audit_entry.c.act, audit_entry.c.object, audit_entry.c.detail).order_by(audit_entry.c.id)
    rows = bench.database.read_now(lambda connection: connection.execute(query).all())
    assert [tuple(row) for row in rows if row.act == "account.import-mail"] == [
        ("account.import-mail", ANN, "mbox /x"),
        ("account.import-mail", ANN, "mbox /x: 1 imported, 1 left out"),
    ]


def test_who_may_not_and_what_is_not_there_is_refused(bench: Bench) -> None:
    stranger = Actor("olga", "192.0.2.1", domains=frozenset({"other.test"}))
    with pytest.raises(Refused, match="not one of your domains"):
        bench.run(message(b"A: 1\r\n"), actor=stranger)
    with pytest.raises(Refused):
        bench.run(message(b"A: 1\r\n"), address="nobody@example.test")
    assert bench.entries() == []


def test_names_are_counted_on_a_disk() -> None:
    occurrences = Occurrences()
    assert [occurrences.count(name) for name in ("a", "b", "a", "a")] == [1, 1, 2, 3]
    occurrences.close()
