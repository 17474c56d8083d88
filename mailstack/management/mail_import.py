"""An account's mail from another host: taken in a batch at a time, and safe to repeat.

Each batch is one commit, so that what was counted as taken in is on the disk; a run that ends anyhow, kill -9 included,
is repeated, and passes over what the maildrop has by its unique-id. Neighbours: `operations/mail_import` finds the
messages; `mail_import_names` gives each its unique-id; `store/imported_mail` keeps them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

from sqlalchemy import Connection

from mailstack.mail.header import starts_with_field
from mailstack.mail.source_message import Source, SourceMessage
from mailstack.management import accounts
from mailstack.management.actor import Actor, Refused, record
from mailstack.management.acts import now_micros
from mailstack.management.mail_import_names import Names
from mailstack.policy.room import is_disk_low
from mailstack.store.acceptance import octets_used
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.imported_mail import ImportedEntry, Outcome, add_imported, find_present, room_left
from mailstack.store.occurrences import Occurrences

BATCH_MESSAGES = 100
"""Of one commit: mail that arrives meanwhile waits no longer for it than for a few of its own."""


class Why(StrEnum):
    """Why a message was left out; a postmaster reads it."""

    UNREADABLE = "could not be read"
    NO_HEADER = "begins with no header field"
    TOO_LARGE = "is larger than `max_message_size`"
    OVER_QUOTA = "does not fit into the account's quota"


class _LeftOut(Exception):
    """A message that is not taken in."""

    def __init__(self, why: Why, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Terms:
    """What is taken in."""

    max_octets: int
    """The largest message."""
    over_quota: bool = False
    """Take in what the account's quota does not allow, too."""
    dry_run: bool = False
    """Read everything, change nothing."""


@dataclass(slots=True)
class Summary:
    """What became of all messages."""

    imported: int = 0
    octets: int = 0
    """Of those."""
    renamed: int = 0
    """Of those, by what POP3 clients do not know: the source had no UIDL for them that can be kept."""
    present: int = 0
    """Those that the maildrop had."""
    left_out: Counter[Why] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told how it goes."""

    advance: Callable[[int], None]
    """The weight of messages that are done with."""
    leave_out: Callable[[str, str], None]
    """The name of a message that is not taken in, and why."""


def import_mail(
    database: Database,
    actor: Actor,
    contents: ContentStore,
    address: str,
    source: Source,
    described: str,
    terms: Terms,
    listener: Listener,
) -> Summary:
    """Take all messages of a source into an account's maildrop; what is taken in stays when it ends early. Blocks.

    Args:
        database: open; called from a thread that may block.
        actor: who.
        contents: where large content goes.
        address: the account.
        source: the messages.
        described: the source, for the audit log.
        terms: what is taken in.
        listener: told of progress and of what is left out.

    Raises:
        Refused: there is no such account, it is removed meanwhile, or the disk is nearly full.
        OSError: the source cannot be read any further, or the disk does not take the content.
        StoreTrouble: the database fails now.
    """
    number, key = database.read_now(lambda connection: accounts.number_of(connection, actor, address))
    if not terms.dry_run:
        database.write_now(lambda connection: record(connection, actor, "account.import-mail", key, described))
    with closing(Occurrences()) as occurrences:
        run = _Import(database, actor, contents, address, number, terms, listener, Names(occurrences))
        messages = iter(source)
        while batch := list(islice(messages, BATCH_MESSAGES)):
            run.take(batch)
    if not terms.dry_run:
        told = f"{described}: {run.summary.imported} imported, {run.summary.left_out.total()} left out"
        database.write_now(lambda connection: record(connection, actor, "account.import-mail", key, told))
    return run.summary


class _Import:
    """One run."""

    def __init__(
        self,
        database: Database,
        actor: Actor,
        contents: ContentStore,
        address: str,
        account_id: int,
        terms: Terms,
        listener: Listener,
        names: Names,
    ) -> None:
        self.summary = Summary()
        self._database = database
        self._actor = actor
        self._contents = contents
        self._address = address
        self._account_id = account_id
        self._terms = terms
        self._listener = listener
        self._names = names
        self._had_mail = bool(
            database.read_now(lambda connection: octets_used(connection, [account_id])).get(account_id)
        )

    def take(self, batch: Sequence[SourceMessage]) -> None:
        """Take in one batch: name, pass over, stage, commit."""
        named = self._name(batch)
        ids = list(named)
        present = self._find_present(ids)
        wanted = {
            unique_id: message
            for unique_id, message in named.items()
            if unique_id not in present and not self._came_without_uidl(unique_id, message)
        }
        self.summary.present += len(named) - len(wanted)
        if self._terms.dry_run:
            self._weigh(wanted)
        else:
            self._require_room()
            self._commit(wanted)
        self._listener.advance(sum(message.weight for message in batch))

    def _find_present(self, unique_ids: Sequence[str]) -> Collection[str]:
        return self._database.read_now(lambda connection: find_present(connection, self._account_id, unique_ids))

    def _came_without_uidl(self, unique_id: str, message: SourceMessage) -> bool:
        if unique_id != message.unique_id or not self._had_mail:
            return False
        try:
            return self._names.came_without_uidl(message, lambda name: bool(self._find_present([name])))
        except OSError:  # whoever stages it says so
            return False

    def _require_room(self) -> None:
        if is_disk_low(*self._contents.free_space(), self._terms.max_octets):
            raise Refused("the disk is nearly full, and the server would refuse mail; make room, then run it again")

    def _name(self, batch: Sequence[SourceMessage]) -> dict[str, SourceMessage]:
        named = {}
        for message in batch:
            try:
                named[self._names.name(message)] = message
            except OSError as error:
                self._leave_out(message, _unreadable(error))
        return named

    def _commit(self, wanted: dict[str, SourceMessage]) -> None:
        staged: list[tuple[SourceMessage, ImportedEntry]] = []
        for unique_id, message in wanted.items():
            try:
                content = self._contents.stage_now(self._checked(message))
            except _LeftOut as left_out:
                self._leave_out(message, left_out)
                continue
            received_at = now_micros() if message.received_at is None else message.received_at
            staged.append((message, ImportedEntry(unique_id, received_at, content)))
        # When this fails the files stay, for its COMMIT may have succeeded; the sweep removes those that no row names.
        outcomes = self._database.write_now(lambda connection: self._add(connection, [one for _, one in staged]))
        unused = [one.content.file for (_, one), how in zip(staged, outcomes, strict=True) if how is not Outcome.ADDED]
        self._contents.remove_files_now(unused)
        for (message, entry), outcome in zip(staged, outcomes, strict=True):
            self._count(message, entry.unique_id, entry.content.size_octets, outcome)

    def _checked(self, message: SourceMessage) -> Iterator[bytes]:
        """The content of a message that may be taken in."""
        size = 0
        for chunk in _reading(message):
            if not size and not starts_with_field(chunk):
                raise _LeftOut(Why.NO_HEADER)
            size += len(chunk)
            if size > self._terms.max_octets:
                raise _LeftOut(Why.TOO_LARGE)
            yield chunk
        if not size:
            raise _LeftOut(Why.NO_HEADER)

    def _add(self, connection: Connection, entries: Sequence[ImportedEntry]) -> list[Outcome]:
        number, _ = accounts.lock_own(connection, self._actor, self._address)
        return add_imported(connection, number, entries, now_micros(), over_quota=self._terms.over_quota)

    def _weigh(self, wanted: dict[str, SourceMessage]) -> None:
        """What `_commit` would say, with nothing changed."""
        left = None
        if not self._terms.over_quota:
            left = self._database.read_now(lambda connection: room_left(connection, self._account_id))
        for unique_id, message in wanted.items():
            try:
                size = sum(map(len, self._checked(message)))
            except _LeftOut as left_out:
                self._leave_out(message, left_out)
            else:
                fits = left is None or self.summary.octets + size <= left
                self._count(message, unique_id, size, Outcome.ADDED if fits else Outcome.OVER_QUOTA)

    def _count(self, message: SourceMessage, unique_id: str, size: int, outcome: Outcome) -> None:
        if outcome is Outcome.OVER_QUOTA:
            self._leave_out(message, _LeftOut(Why.OVER_QUOTA))
        elif outcome is Outcome.THERE:
            self.summary.present += 1
        else:
            self.summary.imported += 1
            self.summary.octets += size
            self.summary.renamed += unique_id != message.unique_id

    def _leave_out(self, message: SourceMessage, left_out: _LeftOut) -> None:
        self.summary.left_out[left_out.why] += 1
        self._listener.leave_out(message.name, str(left_out))


def _reading(message: SourceMessage) -> Iterator[bytes]:
    """Its octets; what the source fails with is told apart from a disk of ours that takes no more."""
    chunks = message.chunks()
    while True:
        try:
            chunk = next(chunks, None)
        except OSError as error:
            raise _unreadable(error) from error
        if chunk is None:
            return
        if chunk:
            yield chunk


def _unreadable(error: OSError) -> _LeftOut:
    return _LeftOut(Why.UNREADABLE, error.strerror or str(error))
