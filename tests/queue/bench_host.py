"""A queue with a fake other side: its clock stands still until a test moves it, each attempt answers as it is told."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select
from twisted.internet import reactor
from twisted.internet.defer import Deferred as Promise
from twisted.internet.task import Clock, deferLater

from mailstack.config import Outbound, Queue
from mailstack.mail.outcome import LOCAL_PEER, Deferred, Delivered, Failed, Outcome
from mailstack.mail.reply import Reply
from mailstack.mail.status import EnhancedStatus
from mailstack.policy.retry import RetryPolicy
from mailstack.queue.attempt import Attempts, Ways
from mailstack.queue.routes import Routes
from mailstack.queue.runner import Bounds, QueueRunner
from mailstack.store import schema
from mailstack.store.acceptance import Expansion
from mailstack.store.content import ContentStore
from mailstack.store.database import Database, StoreTrouble
from mailstack.store.directory import Directory, Domain, DomainKind
from mailstack.store.schema import from_micros
from mailstack.store.spool import Spool
from tests.store.spooled import START, events, put_message, rows

PEER = "mx.one.example[192.0.2.1]:25"
SETTINGS = Queue()
POLICY = RetryPolicy(SETTINGS.retry, SETTINGS.warn_after, SETTINGS.give_up_after)


def delivered(text: str = "ok", *, dsn_relayed: bool = False) -> Delivered:
    return Delivered(Reply(250, EnhancedStatus(2, 0, 0), text), PEER, dsn_relayed)


def deferred(text: str = "later", *, whole: bool = False) -> Deferred:
    return Deferred(Reply(450, EnhancedStatus(4, 2, 0), text), PEER, whole)


def failed(text: str = "no such user") -> Failed:
    return Failed(Reply(550, EnhancedStatus(5, 1, 1), text), PEER)


class FakeRemote:
    """`answers` by domain of the first recipient: an outcome, a list of them, or what gives one or a promise."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = defaultdict(delivered)
        self.tried: list[tuple[str, list[str]]] = []
        self.contents: list[bytes] = []
        self.running: dict[str, int] = defaultdict(int)
        self.most_at_once: dict[str, int] = defaultdict(int)
        self.most_in_all = 0

    async def deliver(self, next_hop: Any, mail: Any) -> list[Outcome]:
        recipients = [str(recipient.address) for recipient in mail.envelope.recipients]
        domain = mail.envelope.recipients[0].address.domain
        self.tried.append((next_hop.key, recipients))
        self.contents.append(b"".join([chunk async for chunk in mail.content.chunks()]))
        self.running[domain] += 1
        self.most_at_once[domain] = max(self.most_at_once[domain], self.running[domain])
        self.most_in_all = max(self.most_in_all, sum(self.running.values()))
        try:
            answer = self.answers[domain]
            if isinstance(answer, Callable):
                answer = answer()
            if isinstance(answer, Promise):
                answer = await answer
        finally:
            self.running[domain] -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, list) else [answer] * len(recipients)

    def tries(self, domain: str) -> int:
        return sum(1 for _, recipients in self.tried if recipients[0].endswith(f"@{domain}"))


class QueueHost:
    """All parts of a queue around one database."""

    def __init__(self, database: Database, folder: Any, **settings: Any) -> None:
        self.database = database
        self.clock = Clock()
        self.remote = FakeRemote()
        self.reports: list[tuple[Any, bytes]] = []
        self.report_trouble = False
        self.local: list[list[str]] = []
        self.local_answers: dict[str, Outcome] = {}
        self.releases: list[object] = []
        ours = Domain(1, "ours.example", DomainKind.LOCAL, None, None, None)
        backed = Domain(2, "backed.example", DomainKind.RELAY, "inner.example:2525", None, None)
        self.directory = Directory(domains=[ours, backed])
        self.outbound = Outbound(**settings)
        self.spool = Spool(database, ContentStore(folder / "content", 1024))
        self.policy = POLICY
        tokens = count()
        self.attempts = Attempts(
            self.spool,
            Ways(self.remote, self._expand_local, self._accept_report, lambda *_: None),
            self.policy,
            hostname="mx.example.org",
            now=self.now,
            chance=lambda: 0.5,
            token=lambda: f"token{next(tokens)}",
            clock=self.clock,
        )
        self.runner = self.make_runner()

    def make_runner(self) -> QueueRunner:
        async def release_held() -> object:
            return self.releases.pop() if self.releases else None

        return QueueRunner(
            self.spool,
            self.attempts,
            Routes(self.outbound, lambda: self.directory),
            self.policy,
            Bounds(self.outbound.connections_per_destination, self.outbound.connections, timedelta(days=30)),
            clock=self.clock,
            now=self.now,
            chance=lambda: 0.5,
            release_held=release_held,
        )

    def now(self) -> datetime:
        return from_micros(START) + timedelta(seconds=self.clock.seconds())

    def _expand_local(self, sender: Any, recipients: Any) -> list[tuple[Outcome, Expansion]]:
        self.local.append([str(recipient.address) for recipient in recipients])
        outcome = replace(delivered("into the mailbox"), peer=LOCAL_PEER)
        return [(self.local_answers.get(str(one.address), outcome), Expansion()) for one in recipients]

    async def _accept_report(self, envelope: Any, content: bytes) -> str:
        if self.report_trouble:
            raise StoreTrouble("disk full")
        self.reports.append((envelope, content))
        return f"MREPORT{len(self.reports)}"

    async def put(self, queue_id: str, *recipients: str, **values: Any) -> list[int]:
        values.setdefault("at", START + int(self.clock.seconds() * 1_000_000))
        return await self.database.write(lambda c: put_message(c, queue_id, list(recipients), **values))

    async def rows(self) -> dict[str, Any]:
        return await self.database.read(rows)

    async def events(self) -> list[tuple[str, str, str]]:
        return await self.database.read(events)

    async def contents(self) -> int:
        return len(await self.database.read(lambda c: c.execute(select(schema.content.c.id)).all()))

    async def until(self, question: Callable[[], Any], what: str = "") -> None:
        """Let the real reactor work, with our clock standing still, until the answer is true."""
        for _ in range(2000):
            if question():
                return
            await deferLater(reactor, 0.005)
        raise AssertionError(f"never: {what or question}")

    async def settle(self) -> None:
        """Until the queue has nothing left to do at this moment of its clock."""
        for _ in range(3):
            await self.until(lambda: self.runner.is_idle, "the queue is idle")
            await deferLater(reactor, 0.005)

    async def advance(self, seconds: float) -> None:
        """Move the clock at once, as a host that slept would see it, then let the queue work."""
        self.clock.advance(seconds)
        await self.settle()
        self.clock.advance(0.1)
        await self.settle()
