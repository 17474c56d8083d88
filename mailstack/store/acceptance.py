"""The one commit behind 250: content, maildrop entries, deliveries, sending-limit counts and the first events.

`accept_many` is a handler for `Database.write_many`: all messages that wait for the group commit are written
together, a statement for each table. `deliver_to_maildrops` serves recipients of ours from the queue (mail that was
held). Neighbours: `reception/intake` prepares the letters, `submissions` judges them here a last time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from threading import Lock
from typing import Any

from sqlalchemy import Connection, select

from mailstack.store.content import StagedContent
from mailstack.store.rows import insert_rows
from mailstack.store.schema import account, content, delivery, mailbox, maildrop_entry, message
from mailstack.store.submissions import DEFAULT_TERMS, Judge, Kept, Submitter, Terms, Verdict
from mailstack.store.timeline import event_row, record_events

_ADD_TO_MAILBOX = (
    "ON CONFLICT (account_id) DO UPDATE SET used_octets = mailbox.used_octets + excluded.used_octets,"
    " used_messages = mailbox.used_messages + excluded.used_messages"
)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LocalCopy:
    """One copy for one account."""

    account_id: int
    recipient: str
    """The account's address."""
    prefix: bytes
    """Return-Path and Delivered-To."""


@dataclass(frozen=True, slots=True)
class RemoteCopy:
    """One recipient for the queue."""

    recipient: str
    domain: str
    notify: int | None
    orcpt: str | None


@dataclass(frozen=True, slots=True)
class Addressed:
    """One recipient of the envelope, as it was addressed, and the copies it means."""

    as_held: RemoteCopy
    """The row it becomes when a limit holds it: the directory is asked again at release."""
    local: tuple[LocalCopy, ...] = ()
    remote: tuple[RemoteCopy, ...] = ()


@dataclass(slots=True)
class PreparedLetter:
    """A message ready for the commit; times in microseconds since 1970."""

    queue_id: str
    origin: str
    reverse_path: str
    content: StagedContent
    header_message_id: str
    subject_hash: str
    body: str
    smtputf8: bool
    ret: str | None
    envid: str | None
    created_at: int
    detail: str
    recipients: list[Addressed] = field(default_factory=list)
    submitter: Submitter | None = None
    terms: Terms = DEFAULT_TERMS


def accept_many(connection: Connection, letters: list[PreparedLetter]) -> list[Verdict]:
    """Write all letters; a verdict for each, in order."""
    judge = Judge(connection)
    judge.prepare([(letter.submitter, _as_addressed(letter)) for letter in letters if letter.submitter])
    verdicts: list[Verdict] = []
    kept: list[tuple[PreparedLetter, Kept]] = []
    for letter in letters:
        verdict: Verdict = Kept()
        if letter.submitter is not None:
            verdict = judge.judge(letter.submitter, _as_addressed(letter), letter.created_at, letter.terms)
        verdicts.append(verdict)
        if isinstance(verdict, Kept):
            kept.append((letter, verdict))
    judge.write()
    if kept:
        _write(connection, kept)
    return verdicts


def _as_addressed(letter: PreparedLetter) -> list[str]:
    return [addressed.as_held.recipient for addressed in letter.recipients]


def _write(connection: Connection, kept: list[tuple[PreparedLetter, Kept]]) -> None:
    content_ids = [next_content_id(letter.created_at) for letter, _ in kept]
    numbered = [(letter, verdict, number) for (letter, verdict), number in zip(kept, content_ids, strict=True)]
    insert_rows(connection, content, [_content_row(number, letter) for letter, _, number in numbered])
    insert_rows(
        connection,
        message,
        [_message_row(x, number, len(verdict.held) < len(x.recipients)) for x, verdict, number in numbered],
    )
    entries: list[Row] = []
    deliveries: list[Row] = []
    events: list[Row] = []
    for letter, verdict, content_id in numbered:
        queue_id, now, size = letter.queue_id, letter.created_at, letter.content.size_octets
        going = len(letter.recipients) - len(verdict.held)
        events.append(event_row(queue_id, now, "accepted", "", letter.detail))
        for copy in _unique_copies(letter.recipients[:going]):
            entries.append(_entry_row(queue_id, content_id, size, copy, now))
            events.append(event_row(queue_id, now, "delivered", copy.recipient, "into the mailbox"))
        for addressed in letter.recipients[:going]:
            events += _alias_events(queue_id, now, addressed)
        deliveries += _delivery_rows(letter, verdict)
        events += [event_row(queue_id, now, "held", recipient, verdict.held_by) for recipient in verdict.held]
    insert_entries(connection, entries)
    insert_rows(connection, delivery, deliveries)
    record_events(connection, events)


def _delivery_rows(letter: PreparedLetter, verdict: Kept) -> list[Row]:
    """The rows of those that go on to the queue, then of those that are held; all of one lane."""
    going = len(letter.recipients) - len(verdict.held)
    # an address that was named twice, or that two aliases lead to, gets the mail once
    remote = list(dict.fromkeys(copy for addressed in letter.recipients[:going] for copy in addressed.remote))
    held = [addressed.as_held for addressed in letter.recipients[going:]]
    is_bulk = verdict.is_bulk or len(remote) > letter.terms.bulk_recipients
    lane: Row = {"is_bulk": is_bulk}
    rows = [_delivery_row(letter.queue_id, copy, letter.created_at) | lane for copy in remote]
    if held and letter.submitter is not None:
        waits = {"state": "held", "held_by": verdict.held_by, "held_for": letter.submitter.account_id} | lane
        rows += [_delivery_row(letter.queue_id, copy, letter.created_at) | waits for copy in held]
    return rows


def _alias_events(queue_id: str, now: int, addressed: Addressed) -> list[Row]:
    """A name that means other addresses has a line of its own: it is what the sender knows and a trace is asked for."""
    name = addressed.as_held.recipient
    targets = [*(copy.recipient for copy in addressed.local), *(copy.recipient for copy in addressed.remote)]
    if [target.lower() for target in targets] == [name.lower()]:
        return []
    more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
    return [event_row(queue_id, now, "accepted", name, f"goes to {targets[0]}{more}")]


def _unique_copies(recipients: Sequence[Addressed]) -> list[LocalCopy]:
    """One copy for each account, however many of the recipients lead to it."""
    return list({copy.account_id: copy for addressed in reversed(recipients) for copy in addressed.local}.values())[
        ::-1
    ]


_chance = Random()  # noqa: S311 -- to keep nodes apart; these numbers are no secrets
_last_content_id = 0
_content_id_lock = Lock()


def next_content_id(now_micros: int) -> int:
    """A number for a content row: made here, for asking the database for each would cost more than the insert.

    41 bits of milliseconds since 2020, then 22 that are random at first and count on from there: ever greater within a
    process, and apart from those of other nodes.
    """
    global _last_content_id  # noqa: PLW0603 -- one sequence for the process
    since_2020 = now_micros // 1000 - 1_577_836_800_000
    with _content_id_lock:
        _last_content_id = max(_last_content_id + 1, since_2020 << 22 | _chance.getrandbits(22))
        return _last_content_id


def _content_row(content_id: int, letter: PreparedLetter) -> Row:
    staged = letter.content
    return {"id": content_id, "size_octets": staged.size_octets, "body": staged.body, "file": staged.file}


def insert_entries(connection: Connection, entries: list[Row]) -> None:
    """Put entries into maildrops, and count them there. None has an unique-id that its account has already."""
    if not entries:
        return
    insert_rows(connection, maildrop_entry, entries)
    sums: dict[int, Row] = {}
    for entry in entries:
        account_id = entry["account_id"]
        total = sums.setdefault(account_id, {"account_id": account_id, "used_octets": 0, "used_messages": 0})
        total["used_octets"] += entry["size_octets"]
        total["used_messages"] += 1
    insert_rows(connection, mailbox, [sums[account_id] for account_id in sorted(sums)], on_conflict=_ADD_TO_MAILBOX)


def _message_row(letter: PreparedLetter, content_id: int, counted: bool) -> Row:
    return {
        "id": letter.queue_id,
        "origin": letter.origin,
        "reverse_path": letter.reverse_path,
        "submitter_id": letter.submitter.account_id if letter.submitter else None,
        "content_id": content_id,
        "size_octets": letter.content.size_octets,
        "header_message_id": letter.header_message_id,
        "subject_hash": letter.subject_hash,
        "body": letter.body,
        "smtputf8": letter.smtputf8,
        "ret": letter.ret,
        "envid": letter.envid,
        "counted": counted,
        "created_at": letter.created_at,
    }


def _entry_row(queue_id: str, content_id: int, content_octets: int, copy: LocalCopy, now: int) -> Row:
    return {
        "account_id": copy.account_id,
        "content_id": content_id,
        "unique_id": queue_id,
        "prefix": copy.prefix,
        "size_octets": len(copy.prefix) + content_octets,
        "received_at": now,
    }


def _delivery_row(queue_id: str, copy: RemoteCopy, now: int) -> Row:
    return {
        "message_id": queue_id,
        "recipient": copy.recipient,
        "domain": copy.domain,
        "notify": copy.notify,
        "orcpt": copy.orcpt,
        "state": "waiting",
        "held_by": None,
        "held_for": None,
        "is_bulk": False,
        "next_attempt_at": now,
        "created_at": now,
    }


def deliver_to_maildrops(connection: Connection, queue_id: str, copies: Sequence[LocalCopy], now: int) -> None:
    """Put a message of the queue into maildrops; who has it already (by its unique-id) keeps the one copy.

    Args:
        connection: inside a transaction, which the caller shares with recording the deliveries.
        queue_id: the message.
        copies: for which accounts; those that were removed meanwhile are passed over.
        now: microseconds since 1970.
    """
    found = connection.execute(
        select(message.c.content_id, content.c.size_octets).join(content).where(message.c.id == queue_id)
    ).one_or_none()
    if found is None:
        return
    ids = [copy.account_id for copy in copies]
    alive = set(connection.scalars(select(account.c.id).where(account.c.id.in_(ids))))
    have = select(maildrop_entry.c.account_id).where(maildrop_entry.c.unique_id == queue_id)
    alive -= set(connection.scalars(have.where(maildrop_entry.c.account_id.in_(ids))))
    entries: list[Row] = []
    for copy in copies:
        if copy.account_id in alive:
            alive.remove(copy.account_id)
            entries.append(_entry_row(queue_id, found.content_id, found.size_octets, copy, now))
    insert_entries(connection, entries)


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a recipient of ours becomes when the queue serves it: maildrop copies, deliveries to an alias's targets."""

    local: tuple[LocalCopy, ...] = ()
    remote: tuple[RemoteCopy, ...] = ()


def expand_from_queue(
    connection: Connection, queue_id: str, recipient: str, expansion: Expansion, now: int, is_bulk: bool
) -> None:
    """Serve a recipient of ours from the queue, in the commit that ends its delivery and tells of that.

    What goes on from here stays in the lane of that delivery (`is_bulk`).
    """
    if expansion.local:
        deliver_to_maildrops(connection, queue_id, expansion.local, now)
        others = [copy.recipient for copy in expansion.local if copy.recipient.lower() != recipient.lower()]
        record_events(connection, [event_row(queue_id, now, "delivered", one, "into the mailbox") for one in others])
    if expansion.remote:
        insert_rows(
            connection,
            delivery,
            [_delivery_row(queue_id, copy, now) | {"is_bulk": is_bulk} for copy in expansion.remote],
        )


def octets_used(connection: Connection, account_ids: Sequence[int]) -> dict[int, int]:
    """What the maildrops of these accounts hold, in octets."""
    rows = connection.execute(
        select(mailbox.c.account_id, mailbox.c.used_octets).where(mailbox.c.account_id.in_(account_ids))
    )
    return {row.account_id: row.used_octets for row in rows}
