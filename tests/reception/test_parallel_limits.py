"""Fifty submitters at once, on one node and on two: not one recipient past a cap, and none short of it."""

from collections import Counter
from pathlib import Path
from random import getrandbits

import pytest
import pytest_twisted
from sqlalchemy import Connection, func, insert, select
from twisted.internet.defer import Deferred, gatherResults

from mailstack.mail.address import parse_address
from mailstack.mail.envelope import Envelope, Recipient
from mailstack.policy.limits import Over, Per
from mailstack.reception.intake import Intake, Letter
from mailstack.store import schema
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.directory import DirectoryKeeper, bump_version
from mailstack.store.submissions import Submitter
from tests.store.letters import add_account

SUBMITTERS = 50
LETTERS = 4
PEOPLE = 5
CAP = 61


async def make_intake(database: Database, folder: Path) -> tuple[Intake, DirectoryKeeper, ContentStore]:
    from twisted.internet import reactor

    keeper = DirectoryKeeper(database, reactor)  # type: ignore[arg-type]
    await keeper.refresh()
    contents = ContentStore(folder / "content", 65536)
    return (
        Intake(database, keeper, contents, wake=lambda: None, arrived=lambda *_: None, random_bits=getrandbits),
        keeper,
        contents,
    )


async def submit(parts: tuple[Intake, DirectoryKeeper, ContentStore], name: str, number: int) -> int:
    """Several letters, one after the other; how many recipients were accepted."""
    intake, keeper, contents = parts
    account = keeper.current.account(parse_address(name))
    assert account is not None
    who = Submitter(account.id, account.domain.id, name, keeper.current.rules_of(account))
    accepted = 0
    for each in range(LETTERS):
        recipients = [Recipient(parse_address(f"r{number}-{each}-{n}@far.test")) for n in range(1 + number % 3)]
        envelope = Envelope(account.address, recipients)
        letter = Letter(intake.new_queue_id(), "submission", envelope, "192.0.2.1", "ESMTPSA", submitter=who)
        writer = contents.new_writer()
        writer.write(b"Subject: x\r\n\r\nx\r\n")
        answer = await intake.accept(letter, await writer.finish())
        assert answer.code in (250, 450)
        accepted += len(recipients) if answer.is_positive else 0
    return accepted


@pytest_twisted.ensureDeferred
@pytest.mark.async_seconds(240)
@pytest.mark.parametrize("over", list(Over))
@pytest.mark.parametrize("scope", ["example.test", "each@example.test"])
@pytest.mark.parametrize("kind", ["recipients", "first_time"])
async def test_nobody_gets_past_a_cap(each_url: str, tmp_path: Path, over: Over, scope: str, kind: str) -> None:
    nodes = [Database.open(each_url, tmp_path)]
    if not nodes[0].is_sqlite:
        nodes.append(Database.open(each_url, tmp_path))
    people = [f"p{number}@example.test" for number in range(PEOPLE)]

    def fill(connection: Connection) -> None:
        for name in people:
            add_account(connection, name)
        rule = {"scope": scope, "per": Per.DAY, "over": over, kind: CAP if scope == "example.test" else CAP // PEOPLE}
        connection.execute(insert(schema.limit_rule).values(rule))
        bump_version(connection)

    await nodes[0].write(fill)
    intakes = [await make_intake(node, tmp_path / f"node{number}") for number, node in enumerate(nodes)]
    running = [
        Deferred.fromCoroutine(submit(intakes[number % len(intakes)], people[number % PEOPLE], number))
        for number in range(SUBMITTERS)
    ]
    accepted = sum(await gatherResults(running))
    cap = CAP if scope == "example.test" else CAP // PEOPLE * PEOPLE

    def look(connection: Connection) -> tuple[int, int, dict[str, int]]:
        counted = connection.execute(
            select(func.sum(schema.usage.c.recipients), func.sum(schema.usage.c.first_time))
        ).one()
        states = connection.scalars(select(schema.delivery.c.state)).all()
        return int(counted[0]), int(counted[1]), dict(Counter(states))

    recipients, first_time, states = await nodes[0].read(look)
    assert recipients == first_time == states["waiting"]
    assert recipients <= cap
    if over is Over.HOLD:
        assert recipients == cap
        assert accepted == sum(states.values()) == sum(LETTERS * (1 + n % 3) for n in range(SUBMITTERS))
    else:
        assert accepted == recipients >= cap - 2 * (1 if scope == "example.test" else PEOPLE)
        assert states == {"waiting": recipients}
    for node in nodes:
        node.close()
