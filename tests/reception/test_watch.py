"""From a commit to the mail about it: a limit nearly used up, a burst that freezes, and nothing told twice."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from random import getrandbits

import pytest
import pytest_twisted
from sqlalchemy import Connection, insert, select

from mailstack.config import Limits
from mailstack.mail.address import parse_address
from mailstack.mail.envelope import Envelope, Recipient
from mailstack.mail.reply import Reply
from mailstack.policy.limits import Over, Per, Rule
from mailstack.reception.intake import Intake, Letter
from mailstack.reception.notices import Notices
from mailstack.reception.watch import SendingWatch
from mailstack.store import schema
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.directory import DirectoryKeeper, bump_version
from mailstack.store.submissions import Kept, Submitter
from tests.store.letters import add_account

TIGHT = Limits(freeze_first_time=5, freeze_networks=2, freeze_factor=1)


class World:
    """An intake with its watch, on one database, with ann@ and postmaster@example.test."""

    def __init__(self, database: Database, folder: Path, limits: Limits) -> None:
        from twisted.internet import reactor

        self.database = database
        self.keeper = DirectoryKeeper(database, reactor)  # type: ignore[arg-type]
        self.contents = ContentStore(folder / "content", 65536)
        self.intake = Intake(
            database,
            self.keeper,
            self.contents,
            wake=lambda: None,
            arrived=lambda *_: None,
            random_bits=getrandbits,
            submitted=self._submitted,
        )

        def now() -> datetime:
            return datetime.now(UTC)

        notices = Notices(database, self.intake.accept_report, hostname="mx.example.test", now=now, token=lambda: "t0")
        self.watch = SendingWatch(database, self.keeper, notices, limits, now=now)

    def _submitted(self, who: Submitter, kept: Kept) -> None:
        self.watch.submitted(who, kept)

    async def start(self, *rules: Rule) -> None:
        def fill(connection: Connection) -> None:
            for name in ("ann", "postmaster"):
                add_account(connection, f"{name}@example.test")
            for rule in rules:
                values = {"scope": rule.scope, "per": rule.per, "recipients": rule.recipients, "over": rule.over}
                connection.execute(insert(schema.limit_rule).values(values))
            bump_version(connection)

        await self.database.write(fill)
        await self.keeper.refresh()

    async def submit(self, *recipients: str) -> Reply:
        directory = self.keeper.current
        account = directory.account(parse_address("ann@example.test"))
        assert account is not None
        who = Submitter(
            account.id, account.domain.id, account.address.key, directory.rules_of(account), account.frozen_why
        )
        envelope = Envelope(account.address, [Recipient(parse_address(each)) for each in recipients])
        letter = Letter(self.intake.new_queue_id(), "submission", envelope, "192.0.2.1", "ESMTPSA", submitter=who)
        writer = self.contents.new_writer()
        writer.write(b"Subject: x\r\n\r\nx\r\n")
        answer = await self.intake.accept(letter, await writer.finish())
        await self.watch.stop()
        return answer

    async def mail_for(self, name: str) -> list[str]:
        def read(connection: Connection) -> list[bytes]:
            entries = schema.maildrop_entry
            query = (
                select(schema.content.c.body)
                .join(entries, entries.c.content_id == schema.content.c.id)
                .join(schema.account, schema.account.c.id == entries.c.account_id)
                .where(schema.account.c.local_part == name)
                .order_by(entries.c.id)
            )
            return [bytes(body) for body in connection.scalars(query)]

        return [body.decode().replace("\r\n", " ") for body in await self.database.read(read)]


Start = Callable[..., Awaitable[World]]


@pytest.fixture
def start(database: Database, tmp_path: Path) -> Start:
    async def make(*rules: Rule, limits: Limits = TIGHT) -> World:
        world = World(database, tmp_path, limits)
        await world.start(*rules)
        return world

    return make


def rule(recipients: int, over: Over = Over.REFUSE, scope: str = "*") -> Rule:
    return Rule(scope, Per.HOUR, None, recipients, over)


@pytest_twisted.ensureDeferred
async def test_owner_and_postmaster_are_told_at_80_and_at_100_percent_once(start: Start) -> None:
    world = await start(rule(5))
    for number in range(3):
        await world.submit(f"a{number}@far.test")
    assert await world.mail_for("ann") == []
    await world.submit("b@far.test")
    [near] = await world.mail_for("ann")
    assert "Subject: 80 % of a sending limit is used: 5 recipients per hour for every" in near
    assert "Auto-Submitted: auto-generated" in near
    assert "Used:       4 of 5 recipients" in near
    assert " Frees from: " in near
    await world.submit("c@far.test")
    assert not (await world.submit("d@far.test")).is_positive
    [_, full] = await world.mail_for("ann")
    assert "has used all of a sending limit" in full
    assert " Frees at: " in full
    assert await world.mail_for("postmaster") == [near, full]


@pytest_twisted.ensureDeferred
async def test_a_rule_of_the_whole_domain_speaks_of_the_domain(start: Start) -> None:
    world = await start(rule(2, Over.HOLD, "example.test"))
    await world.submit("a@far.test", "b@far.test", "c@far.test")
    [told] = await world.mail_for("postmaster")
    assert "The domain example.test, last by ann@example.test, has used all" in told
    assert "accepted and held" in told


@pytest_twisted.ensureDeferred
async def test_a_burst_of_new_recipients_freezes_and_known_ones_do_not(start: Start) -> None:
    world = await start()
    for _ in range(3):
        await world.submit("a@far.test", "b@far.test", "c@far.test", "d@far.test")
    assert await world.mail_for("postmaster") == []
    await world.submit("e@far.test", "f@far.test")
    [told] = await world.mail_for("postmaster")
    assert "Subject: ann@example.test is frozen" in told
    assert "6 recipients that it never wrote to before within an hour" in told
    assert await world.mail_for("ann") == [told]
    assert (await world.submit("g@far.test")).is_positive, "accepted, and held"
    rows = await world.database.read(lambda c: c.execute(select(schema.delivery.c.state)).scalars().all())
    assert set(rows) == {"held"}, "what waited in the queue too"


@pytest_twisted.ensureDeferred
async def test_log_ins_from_many_networks_freeze_and_from_one_do_not(start: Start) -> None:
    world = await start()
    account = world.keeper.current.account(parse_address("ann@example.test"))
    assert account is not None
    for address in ("192.0.2.1", "192.0.2.2", "198.51.100.1", "192.0.2.3"):
        world.watch.logged_in(account, address)
        await world.watch.stop()
    assert await world.mail_for("postmaster") == []
    world.watch.logged_in(account, "2001:db8::1")
    await world.watch.stop()
    [told] = await world.mail_for("postmaster")
    assert "3 networks that it never logged in from before" in told
    frozen = world.keeper.current.account(parse_address("ann@example.test"))
    assert frozen is not None
    assert frozen.frozen_why is not None


@pytest_twisted.ensureDeferred
async def test_freezing_can_be_turned_off(start: Start) -> None:
    world = await start(limits=Limits(freeze=False, freeze_first_time=1, freeze_factor=1))
    await world.submit("a@far.test", "b@far.test", "c@far.test")
    assert await world.mail_for("postmaster") == []
