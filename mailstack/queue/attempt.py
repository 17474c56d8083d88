"""One try for one unit of work: deliver it, tell the sender where that is due, write down what became of it.

The order makes a crash repeat, never forget. A report of failure or delay is accepted first and the delivery ended
after it: a crash between the two repeats try and report. A success is written first, and its report goes into the same
group commit: a crash must not repeat a mail for the sake of a report. A recipient of ours (mail that was held) gets its
maildrop copies and its alias's targets in the commit that ends its delivery. Neighbours: `runner` says when,
`delivery/remote` speaks to the next hop, `policy/retry` says when again, `delivery/bounce` words the report,
`store/spool` keeps it all.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from twisted.internet.defer import Deferred as Promise
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from mailstack import maillog
from mailstack.delivery.bounce import (
    HEADER_MOST_OCTETS,
    Report,
    ReportedRecipient,
    is_wanted,
    make_report,
    report_envelope,
    returns_whole,
)
from mailstack.delivery.bounce_words import Action, clean
from mailstack.delivery.outgoing import NextHop, OutgoingMail
from mailstack.mail.address import Address
from mailstack.mail.envelope import Envelope, Recipient
from mailstack.mail.outcome import LOCAL_PEER, Deferred, Delivered, Failed, Outcome
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import EnhancedStatus, Status
from mailstack.policy.retry import RetryPolicy
from mailstack.queue.routes import Route
from mailstack.store.acceptance import Expansion
from mailstack.store.claims import DueRecipient, Unit
from mailstack.store.content import StoredContent
from mailstack.store.database import StoreTrouble
from mailstack.store.schema import micros
from mailstack.store.spool import Result, Spool

WORDS_MOST = 1000
"""Characters of a peer's words in the timeline."""
RECORD_PAUSES = (0.5, 1, 2, 4, 8, 15, 30, 60)
"""Seconds between tries to write a result down: an unwritten delivery would be sent again."""

_EXPIRED = EnhancedStatus.of(4, Status.EXPIRED)


class Remote(Protocol):
    """What `delivery/remote` does for us."""

    async def deliver(self, next_hop: NextHop, mail: OutgoingMail) -> list[Outcome]:
        """Try once; an outcome for each recipient of the envelope, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Ways:
    """How an attempt reaches the rest of the house.

    `expand_local` says what recipients of ours become (reverse-path, recipients); `accept_report` takes in a report and
    gives its queue ID; `arrived` is told when recipients of ours were served (queue ID, reverse-path, recipients).
    """

    remote: Remote
    expand_local: Callable[[Address, Sequence[Recipient]], list[tuple[Outcome, Expansion]]]
    accept_report: Callable[[Envelope, bytes], Awaitable[str]]
    arrived: Callable[[str, Address, Sequence[Recipient]], None]


@dataclass(frozen=True, slots=True)
class Tried:
    """What an attempt came to: an outcome for each recipient, in order.

    `began_at` is None when no other host was asked: for recipients of ours, or when the destination rests.
    `expansions` are what recipients of ours become.
    """

    outcomes: Sequence[Outcome]
    began_at: datetime | None = None
    expansions: Sequence[Expansion | None] = ()


@dataclass(slots=True)
class _Verdict:
    """What an outcome means for one delivery, on its way to a `Result`."""

    due: DueRecipient
    outcome: Outcome
    state: str
    next_attempt_at: datetime
    events: list[tuple[datetime, str, str]]
    is_delay_told: bool
    is_expired: bool = False
    expansion: Expansion | None = None


class Attempts:
    """Makes attempts; one for the queue.

    Args:
        spool: where results go.
        ways: to the rest of the house.
        policy: when again, when to warn, when to give up.
        hostname: ours, for reports.
        now: the time, aware, UTC.
        chance: random numbers in 0..1.
        token: random letters and digits, for reports.
        clock: IReactorTime.
    """

    def __init__(
        self,
        spool: Spool,
        ways: Ways,
        policy: RetryPolicy,
        *,
        hostname: str,
        now: Callable[[], datetime],
        chance: Callable[[], float],
        token: Callable[[], str],
        clock: IReactorTime,
    ) -> None:
        self._spool = spool
        self._ways = ways
        self._policy = policy
        self._hostname = hostname
        self._now = now
        self._chance = chance
        self._token = token
        self._clock = clock

    def take_policy(self, policy: RetryPolicy) -> None:
        """Another schedule from now on."""
        self._policy = policy

    async def deliver(self, unit: Unit, route: Route, kept: StoredContent | None) -> Tried:
        """Try once, by the route."""
        if route.next_hop is None:
            envelope = unit.envelope
            served = self._ways.expand_local(envelope.reverse_path, envelope.recipients)
            return Tried([outcome for outcome, _ in served], None, [expansion for _, expansion in served])
        began_at = self._now()
        return Tried(await self._deliver(unit, route.next_hop, kept), began_at)

    async def _deliver(self, unit: Unit, next_hop: NextHop, kept: StoredContent | None) -> list[Outcome]:
        try:
            kept = kept or await self._find_content(unit)
            if kept is None:
                lost = reply(550, Status.SYSTEM_OTHER, "the content of the message is lost on this host")
                return [Failed(lost, self._hostname)] * len(unit.recipients)
            return await self._ways.remote.deliver(next_hop, OutgoingMail(unit.queue_id, unit.envelope, kept))
        except (OSError, StoreTrouble) as error:  # of our own content or tables: the peer's troubles are outcomes
            maillog.trouble("content", error)
            unread = reply(451, Status.SYSTEM_OTHER, "the message cannot be read on this host for now")
            return [Deferred(unread, self._hostname)] * len(unit.recipients)

    async def settle(self, unit: Unit, tried: Tried) -> None:
        """Act on what an attempt came to: report, retry or end, and write it down."""
        now = self._now()
        chance = self._chance()
        verdicts = [
            self._judge(due, outcome, now, chance, tried.began_at)
            for due, outcome in zip(unit.recipients, tried.outcomes, strict=True)
        ]
        for verdict, expansion in zip(verdicts, tried.expansions, strict=False):
            verdict.expansion = expansion
        if unit.envelope.is_report:
            for verdict in verdicts:
                if verdict.state == "failed":
                    maillog.double_bounce(unit.queue_id, str(verdict.due.recipient.address), verdict.outcome.reply)
        else:
            await self._report_failures(unit, verdicts, now)
            await self._report_delays(unit, verdicts, now)
        results = [_result(unit, verdict, now) for verdict in verdicts]
        recorded = Promise.fromCoroutine(self._record(results))
        try:
            if not unit.envelope.is_report:
                await self._report_successes(unit, verdicts, now)
        finally:
            await recorded
        for verdict in verdicts:
            _log(unit, verdict)
        served = [verdict.due.recipient for verdict in verdicts if verdict.expansion is not None]
        if served:
            self._ways.arrived(unit.queue_id, unit.envelope.reverse_path, served)

    def _judge(
        self, due: DueRecipient, outcome: Outcome, now: datetime, chance: float, began_at: datetime | None
    ) -> _Verdict:
        words = clean(f"{outcome.peer}: {outcome.reply}" if outcome.peer else str(outcome.reply), WORDS_MOST)
        verdict = _Verdict(due, outcome, "waiting", now, [], due.is_delay_told)
        if began_at is not None:
            verdict.events.append((began_at, "attempt", f"number {due.attempts}"))
        if isinstance(outcome, Delivered):
            verdict.state = "delivered"
            verdict.events.append((now, "delivered", words))
        elif isinstance(outcome, Failed):
            verdict.state = "failed"
            verdict.events.append((now, "failed", words))
        elif self._policy.gives_up(now, due.created_at):
            verdict.state = "failed"
            verdict.is_expired = True
            verdict.events.append((now, "expired", words))
        else:
            again = self._policy.next_attempt(now, due.created_at, due.attempts, outcome.reply, chance)
            verdict.next_attempt_at = again
            if began_at is not None or _last_words(outcome) != due.last_reply:
                # a destination that rests is told of only when there is news
                verdict.events.append((now, "deferred", f"{words}; tried again at {_at(again)}"))
        return verdict

    async def _report_failures(self, unit: Unit, verdicts: Iterable[_Verdict], now: datetime) -> None:
        failed = [verdict for verdict in verdicts if verdict.state == "failed"]
        wanted = [verdict for verdict in failed if is_wanted(verdict.due.recipient, Action.FAILED)]
        if not wanted:
            return
        report_id = await self._report(unit, wanted, Action.FAILED, now)
        if report_id is None:
            # Not told, so not ended: the next attempt brings the report with it.
            for verdict in wanted:
                verdict.state = "waiting"
                verdict.next_attempt_at = now + self._policy.step(verdict.due.attempts, self._chance())
                why = "the report of failure could not be stored; tried again later"
                verdict.events = [*verdict.events[:-1], (now, "deferred", why)]
            return
        for verdict in wanted:
            verdict.events.append((now, "bounced", f"told <{unit.envelope.reverse_path}> by {report_id}"))

    async def _report_delays(self, unit: Unit, verdicts: Iterable[_Verdict], now: datetime) -> None:
        late = [
            verdict
            for verdict in verdicts
            if verdict.state == "waiting"
            and not verdict.is_delay_told
            and self._policy.warns(now, verdict.due.created_at)
            and is_wanted(verdict.due.recipient, Action.DELAYED)
        ]
        if late and await self._report(unit, late, Action.DELAYED, now) is not None:
            for verdict in late:
                verdict.is_delay_told = True

    async def _report_successes(self, unit: Unit, verdicts: Iterable[_Verdict], now: datetime) -> None:
        """Success where the peer does not take over the duty to report it (RFC 3461 section 5.2.2)."""
        done: dict[Action, list[_Verdict]] = {}
        for verdict in verdicts:
            outcome = verdict.outcome
            if not isinstance(outcome, Delivered) or outcome.dsn_relayed:
                continue
            if is_wanted(verdict.due.recipient, action := _action_of(outcome)):
                done.setdefault(action, []).append(verdict)
        for action, about in done.items():
            await self._report(unit, about, action, now)

    async def _report(self, unit: Unit, about: Sequence[_Verdict], action: Action, now: datetime) -> str | None:
        """Have a report accepted; its queue ID, or None when that did not work for now."""
        try:
            whole = returns_whole(unit.envelope, unit.size_octets, action)
            report = Report(
                hostname=self._hostname,
                queue_id=unit.queue_id,
                envelope=unit.envelope,
                arrived_at=unit.arrived_at,
                now=now,
                token=self._token(),
                recipients=tuple(self._told(verdict, action, now) for verdict in about),
                original=await self._original(unit, is_whole=whole),
            )
            content = make_report(report)
            report_id = await self._ways.accept_report(report_envelope(report, content), content)
        except (StoreTrouble, OSError) as error:
            maillog.trouble("report", error)
            return None
        maillog.bounced(unit.queue_id, report_id, str(unit.envelope.reverse_path))
        return report_id

    def _told(self, verdict: _Verdict, action: Action, now: datetime) -> ReportedRecipient:
        said: Reply = verdict.outcome.reply
        until: datetime | None = None
        if action is Action.DELAYED:
            until = verdict.due.created_at + self._policy.give_up_after
        return ReportedRecipient(
            recipient=verdict.due.recipient,
            action=action,
            status=_EXPIRED if verdict.is_expired else said.effective_status,
            reply=said,
            peer=verdict.outcome.peer,
            attempted_at=now,
            retry_until=until,
        )

    async def _original(self, unit: Unit, *, is_whole: bool) -> bytes:
        """The content for a report, or its header section."""
        kept = await self._find_content(unit)
        octets = b""
        if kept is None:
            return octets
        async for chunk in kept.chunks():
            octets += chunk
            if not is_whole and (b"\r\n\r\n" in octets or len(octets) >= HEADER_MOST_OCTETS):
                break
        return octets if is_whole else octets.partition(b"\r\n\r\n")[0] + b"\r\n"

    async def _find_content(self, unit: Unit) -> StoredContent | None:
        if unit.content_id is None:
            return None
        return (await self._spool.contents([unit])).get(unit.content_id)

    async def _record(self, results: Sequence[Result]) -> None:
        for pause in RECORD_PAUSES:
            try:
                await self._spool.record(results)
            except StoreTrouble as error:
                maillog.trouble("store", error)
                await deferLater(self._clock, pause)
            else:
                return
        await self._spool.record(results)


def _result(unit: Unit, verdict: _Verdict, now: datetime) -> Result:
    return Result(
        delivery_id=verdict.due.delivery_id,
        queue_id=unit.queue_id,
        recipient=str(verdict.due.recipient.address),
        at=micros(now),
        state=verdict.state,
        next_attempt_at=micros(verdict.next_attempt_at),
        last_reply=_last_words(verdict.outcome),
        is_delay_told=verdict.is_delay_told,
        events=tuple((micros(at), name, detail) for at, name, detail in verdict.events),
        expansion=verdict.expansion,
    )


def _action_of(outcome: Delivered) -> Action:
    if outcome.is_expanded:
        return Action.EXPANDED
    return Action.DELIVERED if outcome.peer == LOCAL_PEER else Action.RELAYED


def _last_words(outcome: Outcome) -> str:
    return clean(str(outcome.reply), WORDS_MOST)


def _log(unit: Unit, verdict: _Verdict) -> None:
    recipient, outcome = str(verdict.due.recipient.address), verdict.outcome
    if verdict.state == "delivered":
        maillog.delivered(unit.queue_id, recipient, outcome.peer, outcome.reply)
    elif verdict.state == "failed":
        maillog.failed(unit.queue_id, recipient, outcome.peer, outcome.reply)
    elif verdict.events:
        maillog.deferred(unit.queue_id, recipient, outcome.peer, outcome.reply, verdict.next_attempt_at)


def _at(moment: datetime) -> str:
    return (moment.astimezone(UTC) + timedelta(microseconds=500_000)).isoformat(timespec="seconds")[:19] + "Z"
