"""Maildrops in the store, on SQLite and on PostgreSQL: the lock, the listing, removal, log-in delay and expiry."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import Connection, delete, insert, select, update

from mailstack.store.database import Database
from mailstack.store.engine import StoreTrouble
from mailstack.store.mailboxes import LEASE, Mailboxes, OpenRefusal
from mailstack.store.schema import account, content, delivery, domain, mailbox, maildrop_entry, message, micros

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NO_DELAY = timedelta(0)
ALICE, BOB = 1, 2


class FakeContents:
    """Remembers which files were removed."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    async def remove_files(self, files: list[str]) -> None:
        self.removed += files


class Lab:
    """Two accounts, and mail for them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.contents = FakeContents()
        self.mailboxes = self.node("one")
        database.write_now(self._make_accounts)

    def node(self, name: str) -> Mailboxes:
        shared = not self.database.is_sqlite
        return Mailboxes(self.database, self.contents, node=name, shared=shared)  # type: ignore[arg-type]

    @staticmethod
    def _make_accounts(connection: Connection) -> None:
        connection.execute(insert(domain).values(id=1, name="example.test", kind="local", created_at=0))
        for account_id, name in ((ALICE, "alice"), (BOB, "bob")):
            row = {"id": account_id, "domain_id": 1, "local_part": name, "created_at": 0}
            connection.execute(insert(account).values(row))
            connection.execute(insert(mailbox).values(account_id=account_id))

    def deliver(
        self,
        unique_id: str,
        *account_ids: int,
        body: bytes | None = b"x\r\n",
        file: str | None = None,
        at: datetime = NOW,
    ) -> int:
        """Put one content into maildrops; its content's row."""

        def work(connection: Connection) -> int:
            values = {"size_octets": 3, "body": body, "file": file}
            content_id: int = connection.execute(insert(content).values(values)).inserted_primary_key[0]
            for account_id in account_ids:
                entry = {
                    "account_id": account_id,
                    "content_id": content_id,
                    "unique_id": unique_id,
                    "prefix": b"P: 1\r\n",
                    "size_octets": 9,
                    "received_at": micros(at),
                }
                connection.execute(insert(maildrop_entry).values(entry))
                counters = {"used_octets": mailbox.c.used_octets + 9, "used_messages": mailbox.c.used_messages + 1}
                connection.execute(update(mailbox).where(mailbox.c.account_id == account_id).values(counters))
            return content_id

        return self.database.write_now(work)

    async def open(self, account_id: int = ALICE, now: datetime = NOW, delay: timedelta = NO_DELAY) -> Any:
        return await self.mailboxes.open(account_id, now, delay)

    def used(self, account_id: int) -> tuple[int, int]:
        query = select(mailbox.c.used_messages, mailbox.c.used_octets).where(mailbox.c.account_id == account_id)
        return tuple(self.database.read_now(lambda connection: connection.execute(query).one()))  # type: ignore[return-value]

    def contents_kept(self) -> set[int]:
        return set(self.database.read_now(lambda connection: connection.execute(select(content.c.id)).scalars().all()))


@pytest.fixture
def lab(each_database: Database) -> Lab:
    return Lab(each_database)


@pytest_twisted.ensureDeferred
async def test_it_lists_in_order_and_reads_in_one_query(lab: Lab) -> None:
    lab.deliver("b", ALICE)
    lab.deliver("a", ALICE, BOB)
    lab.deliver("f", ALICE, body=None, file="some/file")
    listing = await lab.open()
    assert [(size, name) for _, size, name in listing] == [(9, "b"), (9, "a"), (9, "f")]
    ids = [entry_id for entry_id, _, _ in listing]
    kept = await lab.mailboxes.read([ids[2], ids[0], 12345])
    assert set(kept) == {ids[0], ids[2]}
    assert (kept[ids[0]].prefix, kept[ids[0]].body, kept[ids[0]].file) == (b"P: 1\r\n", b"x\r\n", None)
    assert (kept[ids[2]].body, kept[ids[2]].file) == (None, "some/file")


@pytest_twisted.ensureDeferred
async def test_one_session_at_a_time(lab: Lab) -> None:
    await lab.open()
    assert await lab.open() is OpenRefusal.IN_USE
    assert await lab.open(BOB) == []
    await lab.mailboxes.close(ALICE)
    assert await lab.open() == []


@pytest_twisted.ensureDeferred
async def test_remove_takes_entries_counters_and_what_nobody_needs(lab: Lab) -> None:
    lab.deliver("1", ALICE)
    shared = lab.deliver("2", ALICE, BOB)
    lab.deliver("3", ALICE, body=None, file="f3")
    stays = lab.deliver("4", ALICE)
    ids = [entry_id for entry_id, _, _ in await lab.open()]
    await lab.mailboxes.remove(ALICE, ids[:3])
    assert lab.contents_kept() == {shared, stays}
    assert lab.contents.removed == ["f3"]
    assert (lab.used(ALICE), lab.used(BOB)) == ((1, 9), (1, 9))
    assert [name for _, _, name in await lab.open()] == ["4"]


@pytest.mark.parametrize(("state", "is_kept"), [("waiting", True), ("delivered", False), ("failed", False)])
@pytest_twisted.ensureDeferred
async def test_content_stays_for_open_deliveries_only(lab: Lab, state: str, is_kept: bool) -> None:
    content_id = lab.deliver("1", ALICE)

    def relay(connection: Connection) -> None:
        sent = {"id": "M1", "origin": "inbound", "reverse_path": "", "content_id": content_id, "size_octets": 3}
        connection.execute(insert(message).values(**sent, body="7BIT", smtputf8=False, created_at=0))
        to = {"message_id": "M1", "recipient": "x@y.test", "domain": "y.test"}
        connection.execute(insert(delivery).values(**to, state=state, next_attempt_at=0, created_at=0))

    lab.database.write_now(relay)
    ((entry_id, _, _),) = await lab.open()
    await lab.mailboxes.remove(ALICE, [entry_id])
    assert (content_id in lab.contents_kept()) is is_kept


@pytest_twisted.ensureDeferred
async def test_nobody_removes_what_is_not_his(lab: Lab) -> None:
    lab.deliver("1", BOB)
    ((entry_id, _, _),) = await lab.open(BOB)
    await lab.open(ALICE)
    await lab.mailboxes.remove(ALICE, [entry_id])
    assert lab.used(BOB) == (1, 9)


@pytest_twisted.ensureDeferred
async def test_a_thousand_are_removed_in_one_commit(lab: Lab) -> None:
    content_id = lab.deliver("0", ALICE)

    def many(connection: Connection) -> None:
        rows = [
            {"account_id": ALICE, "content_id": content_id, "unique_id": f"m{number}", "size_octets": 9}
            for number in range(1100)
        ]
        connection.execute(insert(maildrop_entry).values(prefix=b"", received_at=0), rows)

    lab.database.write_now(many)
    listing = await lab.open()
    await lab.mailboxes.remove(ALICE, [entry_id for entry_id, _, _ in listing])
    assert await lab.open() == []


@pytest_twisted.ensureDeferred
async def test_an_account_that_never_had_mail_opens(lab: Lab) -> None:
    lab.database.write_now(lambda connection: connection.execute(delete(mailbox)))
    assert await lab.open() == []
    assert lab.used(ALICE) == (0, 0)


@pytest_twisted.ensureDeferred
async def test_login_delay_is_kept_in_the_database(lab: Lab) -> None:
    delay = timedelta(seconds=60)
    assert await lab.open(delay=delay) == []
    await lab.mailboxes.close(ALICE)
    lab.mailboxes = lab.node("after a restart")
    assert await lab.open(now=NOW + timedelta(seconds=59), delay=delay) is OpenRefusal.TOO_SOON
    assert await lab.open(now=NOW + timedelta(seconds=60), delay=delay) == []


@pytest_twisted.ensureDeferred
async def test_the_last_login_is_noted_without_a_commit_each_time(lab: Lab) -> None:
    for seconds in (0, 10, 4000):
        await lab.open(now=NOW + timedelta(seconds=seconds))
        await lab.mailboxes.close(ALICE)
        query = select(mailbox.c.last_login_at).where(mailbox.c.account_id == ALICE)
        noted = lab.database.read_now(lambda connection, query=query: connection.execute(query).scalar_one())
        exact = not lab.database.is_sqlite or seconds != 10
        assert noted == micros(NOW + timedelta(seconds=seconds if exact else 0))


@pytest_twisted.ensureDeferred
async def test_expiry_spares_open_maildrops_and_young_mail(lab: Lab) -> None:
    lab.deliver("old", ALICE, BOB, at=NOW - timedelta(days=31))
    lab.deliver("young", ALICE, BOB, at=NOW - timedelta(days=29))
    await lab.open(BOB)
    assert await lab.mailboxes.expire(NOW, None) == 0
    assert await lab.mailboxes.expire(NOW, 0) == 0
    assert await lab.mailboxes.expire(NOW, 30) == 1
    assert (lab.used(ALICE), lab.used(BOB)) == ((1, 9), (2, 18))
    lab.database.write_now(lambda connection: connection.execute(update(domain).values(expire_days=20)))
    assert await lab.mailboxes.expire(NOW, None) == 1
    assert lab.used(ALICE) == (0, 0)


@pytest_twisted.ensureDeferred
async def test_trouble_leaves_the_maildrop_locked_for_this_session_and_whole(lab: Lab, monkeypatch: Any) -> None:
    lab.deliver("1", ALICE)
    ((entry_id, _, _),) = await lab.open()

    async def fail(work: object) -> None:
        raise StoreTrouble("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(lab.database, "write", fail)
        with pytest.raises(StoreTrouble):
            await lab.mailboxes.remove(ALICE, [entry_id])
    assert await lab.open() is OpenRefusal.IN_USE
    assert lab.used(ALICE) == (1, 9)
    await lab.mailboxes.close(ALICE)
    assert len(await lab.open()) == 1


# --- nodes on one database --------------------------------------------------------------------------------------------


@pytest.fixture
def nodes(postgres_url: str, tmp_path: Any) -> Any:
    database = Database.open(postgres_url, tmp_path)
    lab = Lab(database)
    yield lab, lab.node("two")
    database.close()


@pytest_twisted.ensureDeferred
async def test_the_lock_holds_between_nodes_while_its_lease_is_renewed(nodes: Any) -> None:
    lab, two = nodes
    await lab.open()
    assert await two.open(ALICE, NOW, NO_DELAY) is OpenRefusal.IN_USE
    await lab.mailboxes.renew_leases(NOW + LEASE)
    assert await two.open(ALICE, NOW + LEASE, NO_DELAY) is OpenRefusal.IN_USE
    await lab.mailboxes.close(ALICE)
    assert await two.open(ALICE, NOW, NO_DELAY) == []


@pytest_twisted.ensureDeferred
async def test_a_dead_nodes_lock_ends_and_it_removes_nothing_afterwards(nodes: Any) -> None:
    lab, two = nodes
    lab.deliver("1", ALICE)
    ((entry_id, _, _),) = await lab.open()
    assert len(await two.open(ALICE, NOW + LEASE, NO_DELAY)) == 1
    with pytest.raises(StoreTrouble):
        await lab.mailboxes.remove(ALICE, [entry_id])
    assert lab.used(ALICE) == (1, 9)
