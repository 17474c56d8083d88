"""Vacation replies behind the commit: whose mail is answered, when, and that trouble with one stops no other."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import Connection, insert

from mailstack.mail.address import parse_address
from mailstack.mail.envelope import Envelope, Notify, Recipient
from mailstack.reception.vacation import VacationReplies
from mailstack.store import schema
from mailstack.store.content import ContentStore
from mailstack.store.database import Database, StoreTrouble
from mailstack.store.directory import DirectoryKeeper
from mailstack.store.schema import micros
from tests.store.rows import add_account, add_alias, add_domain

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SAM = parse_address("sam@far.test")
HEADER = b"From: sam@far.test\r\nTo: ann@example.org, ben@example.org, carl@example.org, all@example.org\r\n\r\nhi\r\n"


class House:
    """A host with accounts that are away in their own ways; `answers` are what it sent."""

    def __init__(self, database: Database, folder: Path, clock: Any) -> None:
        self.database = database
        self.keeper = DirectoryKeeper(database, clock)
        self.answers: list[tuple[Envelope, bytes]] = []
        self.trouble = 0
        self.replies = VacationReplies(
            database,
            self.keeper,
            ContentStore(folder, 65536),
            accept=self.accept,
            hostname="mx.example.org",
            now=lambda: NOW,
            token=lambda: "token",
        )

    async def accept(self, envelope: Envelope, content: bytes) -> str:
        if self.trouble:
            self.trouble -= 1
            raise StoreTrouble("the disk is full")
        self.answers.append((envelope, content))
        return "Q2"

    async def mail(self, *recipients: str, sender: str = "sam@far.test") -> list[str]:
        """Who answers a mail to these."""
        before = len(self.answers)
        path = parse_address(sender)
        self.replies.consider("Q1", path, [Recipient(parse_address(recipient)) for recipient in recipients])
        while self.replies._is_working:
            await self.database.read(lambda _: None)
        return [content.partition(b"\r\n")[0].decode() for _, content in self.answers[before:]]


def fill(connection: Connection) -> None:
    add_domain(connection, "example.org")
    ann = add_account(connection, "ann@example.org", keeps_copy=False)
    ben = add_account(connection, "ben@example.org", state="suspended")
    carl = add_account(connection, "carl@example.org")
    add_account(connection, "dora@example.org")
    connection.execute(insert(schema.forward).values(account_id=ann, address="dora@example.org"))
    add_alias(connection, "all@example.org", "ann@example.org", "dora@example.org")
    add_alias(connection, "a@example.org", "ann@example.org")
    past = micros(NOW - timedelta(days=1))
    for number, ends in ((ann, None), (ben, None), (carl, past)):
        row = {"account_id": number, "subject": "Away", "body": "Back soon.", "ends_at": ends}
        connection.execute(insert(schema.vacation).values(row))
    connection.execute(insert(schema.content).values(id=1, size_octets=len(HEADER), body=HEADER))
    values = {"id": "Q1", "origin": "inbound", "reverse_path": "sam@far.test", "content_id": 1}
    connection.execute(
        insert(schema.message).values(**values, size_octets=len(HEADER), body="7BIT", smtputf8=False, created_at=0)
    )


@pytest.fixture
def house(each_database: Database, tmp_path: Path) -> House:
    from twisted.internet import reactor

    each_database.write_now(fill)
    return House(each_database, tmp_path / "content", reactor)


@pytest_twisted.ensureDeferred
async def test_only_who_is_away_now_answers_and_once(house: House) -> None:
    await house.keeper.refresh()
    everybody = ("ann@example.org", "ben@example.org", "carl@example.org", "dora@example.org")
    assert await house.mail(*everybody) == ["From: <ann@example.org>"], "who forwards all without a copy, too"
    assert await house.mail("ann@example.org") == []
    assert await house.mail("ann@example.org", sender="eve@far.test") == ["From: <ann@example.org>"]
    envelope, content = house.answers[0]
    assert envelope.is_report
    assert [(one.address, one.notify) for one in envelope.recipients] == [(SAM, Notify.NEVER)]
    assert b"Message-ID: <token@mx.example.org>\r\n" in content


@pytest_twisted.ensureDeferred
async def test_mail_to_a_group_is_not_answered(house: House) -> None:
    only_group = HEADER.replace(b"To: ann@example.org, ben@example.org, carl@example.org, ", b"To: ")
    await house.database.write(lambda c: c.execute(schema.content.update().values(body=only_group)))
    await house.keeper.refresh()
    assert await house.mail("all@example.org") == []
    own_alias = HEADER.replace(b"ann@example.org", b"A+tag@example.org")
    await house.database.write(lambda c: c.execute(schema.content.update().values(body=own_alias)))
    assert await house.mail("a+tag@example.org") == ["From: <ann@example.org>"]


@pytest_twisted.ensureDeferred
async def test_trouble_with_one_answer_stops_no_other(house: House) -> None:
    await house.keeper.refresh()
    house.trouble = 1
    assert await house.mail("ann@example.org") == []
    assert await house.mail("ann@example.org", sender="eve@far.test") == ["From: <ann@example.org>"]


@pytest_twisted.ensureDeferred
async def test_content_that_is_gone_is_not_answered(house: House) -> None:
    await house.database.write(lambda c: c.execute(schema.content.delete()))
    await house.keeper.refresh()
    assert await house.mail("ann@example.org") == []


@pytest_twisted.ensureDeferred
async def test_a_flood_waits_in_a_bounded_queue(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.reception.vacation.MOST_WAITING", 3)
    await house.keeper.refresh()
    for number in range(20):
        sender = parse_address(f"s{number}@far.test")
        house.replies.consider("Q1", sender, [Recipient(parse_address("ann@example.org"))])
    assert len(house.replies._waiting) <= 3
    while house.replies._is_working:
        await house.database.read(lambda _: None)
    assert 3 <= len(house.answers) <= 4
