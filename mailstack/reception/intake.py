"""Takes a message in with one commit: the promise behind 250.

A `LetterSink` receives the content of one transaction; `Intake.accept` resolves its recipients and hands it to
`store/acceptance`. Reports and mail of our own come in by `accept_report`. Neighbours: `header_gate` mends the
header on the way, `queue/runner` is woken for what must go on.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailstack import maillog
from mailstack.mail.address import Address
from mailstack.mail.envelope import Envelope, Recipient
from mailstack.mail.header import message_id_of, read_fields, subject_hash, subject_of
from mailstack.mail.outcome import Outcome
from mailstack.mail.queue_id import make_queue_id
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.reception.allowances import backlog_full, over_limit
from mailstack.reception.header_gate import HeaderGate, Mend
from mailstack.reception.recipients import address_copies, expand
from mailstack.store.acceptance import Expansion, PreparedLetter, accept_many
from mailstack.store.content import ContentStore, ContentWriter, StagedContent
from mailstack.store.database import Database, StoreTrouble
from mailstack.store.directory import DirectoryKeeper
from mailstack.store.schema import micros
from mailstack.store.submissions import DEFAULT_TERMS, Kept, OverLimit, Submitter, Terms

NOT_STORED = reply(452, Status.SYSTEM_FULL, "the content could not be stored for now; try again later")
ROOM_LOOK_OCTETS = 1024 * 1024
"""How much content comes between two looks at the disk."""


@dataclass(slots=True)
class Letter:
    """A message on its way in: envelope, who brings it, and what its header said."""

    queue_id: str
    origin: str
    envelope: Envelope
    client: str
    protocol: str
    login: str | None = None
    submitter: Submitter | None = None
    header_message_id: str = ""
    subject_hash: str = ""

    def note_header(self, section: bytes) -> None:
        """Keep of the header section what the message will be found by."""
        fields = list(read_fields(section))
        self.header_message_id = message_id_of(fields)
        self.subject_hash = subject_hash(subject_of(fields))


class Intake:
    """One for the host.

    Args:
        database: where the commit goes.
        keeper: the directory.
        contents: where content is staged.
        wake: called when the queue has new work.
        arrived: called after the commit of a message with its queue ID, reverse-path and recipients.
        random_bits: gives that many random bits.
        terms: the settings that submissions are judged by.
        submitted: told of each submission once it is committed.
    """

    def __init__(
        self,
        database: Database,
        keeper: DirectoryKeeper,
        contents: ContentStore,
        *,
        wake: Callable[[], None],
        arrived: Callable[[str, Address, Sequence[Recipient]], None],
        random_bits: Callable[[int], int],
        terms: Terms = DEFAULT_TERMS,
        submitted: Callable[[Submitter, Kept], None] = lambda _who, _kept: None,
    ) -> None:
        self._database = database
        self._keeper = keeper
        self._contents = contents
        self._wake = wake
        self._arrived = arrived
        self._random_bits = random_bits
        self._terms = terms
        self._submitted = submitted

    def take_settings(self, terms: Terms) -> None:
        """Judge submissions by other terms from now on."""
        self._terms = terms

    def new_queue_id(self) -> str:
        """A queue ID for a message that starts now."""
        return make_queue_id(datetime.now(UTC).timestamp(), self._random_bits(25))

    def new_sink(self, letter: Letter, mend: Mend, refuse_for_room: Callable[[], Reply | None]) -> "LetterSink":
        """Where the content of a transaction goes; `refuse_for_room` is asked again and again while it comes."""
        return LetterSink(self, self._contents.new_writer(), letter, mend, refuse_for_room)

    async def accept(self, letter: Letter, content: StagedContent) -> Reply:
        """Commit, then 250; a temporary refusal when a limit or the store says no.

        After trouble with the store the staged content stays: the commit may have taken hold all the same, and what
        no row names is swept.
        """
        envelope = letter.envelope
        now = datetime.now(UTC)
        prepared = PreparedLetter(
            queue_id=letter.queue_id,
            origin=letter.origin,
            reverse_path=str(envelope.reverse_path),
            content=content,
            header_message_id=letter.header_message_id,
            subject_hash=letter.subject_hash,
            body=envelope.body.value,
            smtputf8=envelope.smtputf8,
            ret=envelope.ret.value if envelope.ret else None,
            envid=envelope.envid,
            created_at=micros(now),
            detail=_told(letter),
            recipients=address_copies(self._keeper.current, envelope),
            submitter=letter.submitter,
            terms=self._terms,
        )
        try:
            verdict = await self._database.write_many(accept_many, prepared)
        except StoreTrouble as error:
            maillog.trouble("store", error)
            return reply(451, Status.SYSTEM_OTHER, "the message could not be stored for now; try again later")
        if not isinstance(verdict, Kept):
            self._contents.discard(content)
            return over_limit(verdict) if isinstance(verdict, OverLimit) else backlog_full(verdict)
        self._tell(letter, prepared, verdict)
        if letter.submitter is not None:
            self._submitted(letter.submitter, verdict)
        return reply(250, Status.UNDEFINED, f"accepted as {letter.queue_id}")

    def _tell(self, letter: Letter, prepared: PreparedLetter, verdict: Kept) -> None:
        maillog.accepted(
            letter.queue_id,
            client=letter.client,
            sender=prepared.reverse_path,
            size=prepared.content.size_octets,
            recipients=len(prepared.recipients),
            login=letter.login,
            protocol=letter.protocol,
        )
        going = prepared.recipients[: len(prepared.recipients) - len(verdict.held)]
        for addressed in going:
            for copy in addressed.local:
                maillog.delivered(letter.queue_id, copy.recipient, "local", "into the mailbox")
        for recipient in verdict.held:
            maillog.held(letter.queue_id, recipient, verdict.held_by)
        if any(addressed.remote for addressed in going):
            self._wake()
        self._arrived(letter.queue_id, letter.envelope.reverse_path, letter.envelope.recipients[: len(going)])

    async def accept_report(self, envelope: Envelope, content: bytes) -> str:
        """Take in a report of ours (a bounce, a delay notice); gives its queue ID.

        Raises:
            StoreTrouble: the store does not work for now; nothing was taken.
        """
        letter = Letter(self.new_queue_id(), "report", envelope, client="local", protocol="local")
        letter.note_header(content.partition(b"\r\n\r\n")[0] + b"\r\n")
        writer = self._contents.new_writer()
        waiting = writer.write(content)
        if waiting is not None:
            await waiting
        answer = await self.accept(letter, await writer.finish())
        if not answer.is_positive:
            raise StoreTrouble(answer.text)
        return letter.queue_id

    def expand_local(self, sender: Address, recipients: Sequence[Recipient]) -> list[tuple[Outcome, Expansion]]:
        """What recipients of ours become that the queue serves: those that a limit held, or who want a report."""
        directory = self._keeper.current
        return [expand(directory, sender, recipient) for recipient in recipients]


def _told(letter: Letter) -> str:
    """The detail of the `accepted` event: who brought it and how."""
    who = f" as {letter.login}" if letter.login else ""
    return f"from {letter.client} with {letter.protocol}{who}"


class LetterSink:
    """The content of one transaction, from 354 to the reply after the dot; a `ContentSink` of `smtp/questions`."""

    def __init__(
        self,
        intake: Intake,
        writer: ContentWriter,
        letter: Letter,
        mend: Mend,
        refuse_for_room: Callable[[], Reply | None],
    ) -> None:
        self._intake = intake
        self._writer = writer
        self._letter = letter
        self._gate = HeaderGate(writer, mend)
        self._refuse_for_room = refuse_for_room
        self._until_next_look = ROOM_LOOK_OCTETS
        self._refusal: Reply | None = None

    def write(self, data: bytes) -> Awaitable[None] | None:
        """Take content; an awaitable asks to wait."""
        if self._refusal is not None:
            return None
        self._until_next_look -= len(data)
        if self._until_next_look < 0:
            self._until_next_look = ROOM_LOOK_OCTETS
            if refusal := self._refuse_for_room():
                self._break_off(refusal)
                return None
        waits = self._gate.write(data)
        return None if waits is None else self._written(waits)

    async def _written(self, waits: Awaitable[None]) -> None:
        try:
            await waits
        except OSError as error:
            maillog.trouble("content", error)
            self._break_off(NOT_STORED)

    def _break_off(self, refusal: Reply) -> None:
        """The rest of the content is read and forgotten, then refused."""
        self._refusal = refusal
        self._writer.abandon()

    async def finish(self) -> Reply:
        """Commit; the reply after the dot."""
        waits = None if self._refusal else self._gate.finish()
        if waits is not None:
            await self._written(waits)
        if refusal := self._refusal or self._gate.refusal:
            self._writer.abandon()
            return self._refuse(refusal)
        try:
            staged = await self._writer.finish()
        except OSError as error:
            self._writer.abandon()
            maillog.trouble("content", error)
            return self._refuse(NOT_STORED)
        answer = await self._intake.accept(self._letter, staged)
        return answer if answer.is_positive else self._refuse(answer)

    def abandon(self) -> None:
        """The content will not come to its end."""
        self._writer.abandon()

    def _refuse(self, answer: Reply) -> Reply:
        maillog.refused(self._letter.client, "content", answer, sender=str(self._letter.envelope.reverse_path))
        return answer
