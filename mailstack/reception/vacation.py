"""Answers for accounts that are away, after the commit that took the mail in (RFC 3834).

`consider` costs a look at the directory; what may need an answer waits in a short queue that one coroutine works off,
away from the session that brought the mail. An answer lost in a crash is no loss; one sent twice would be: so who is
answered is written first. Neighbours: `policy/vacation` decides and words; `reception/intake` calls and takes the
answer in.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from twisted.internet.defer import Deferred

from mailstack import maillog
from mailstack.mail.address import NULL_SENDER, Address
from mailstack.mail.envelope import Body, Envelope, Notify, Recipient
from mailstack.mail.header import Field, read_fields
from mailstack.policy.vacation import AGAIN_AFTER, Away, make_answer, refuse_answer
from mailstack.store import absences
from mailstack.store.content import ContentStore
from mailstack.store.database import Connection, Database, StoreTrouble
from mailstack.store.directory import Account, AccountState, DirectoryKeeper
from mailstack.store.schema import micros

MOST_WAITING = 1000
"""Beyond it mail goes unanswered: a flood is not from people."""
MAX_HEADER_OCTETS = 256 * 1024

AcceptReport = Callable[[Envelope, bytes], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class _Arrived:
    """One message that reached an account which is away."""

    queue_id: str
    sender: Address
    account: Account


class VacationReplies:
    """One for the host.

    Args:
        database: where vacation replies and who got one are kept.
        keeper: the directory.
        contents: where large content is.
        accept: takes the answer in and gives its queue ID (`Intake.accept_report`).
        hostname: ours, for Message-IDs.
        now: the time, aware, UTC.
        token: random letters and digits.
    """

    def __init__(
        self,
        database: Database,
        keeper: DirectoryKeeper,
        contents: ContentStore,
        *,
        accept: AcceptReport,
        hostname: str,
        now: Callable[[], datetime],
        token: Callable[[], str],
    ) -> None:
        self._database = database
        self._keeper = keeper
        self._contents = contents
        self._accept = accept
        self._hostname = hostname
        self._now = now
        self._token = token
        self._waiting: deque[_Arrived] = deque()
        self._is_working = False

    def consider(self, queue_id: str, sender: Address, recipients: Iterable[Recipient]) -> None:
        """A message has been committed for these recipients: have it answered where that is due."""
        directory = self._keeper.current
        if not directory.has_away or sender == NULL_SENDER:
            return
        at = micros(self._now())
        reached: dict[int, Account] = {}
        for recipient in recipients:
            resolution = directory.resolve(recipient.address)
            for account in (*resolution.accounts, *resolution.passed) if resolution else ():
                reached[account.id] = account
        for account in reached.values():
            if _is_away(account, at) and len(self._waiting) < MOST_WAITING:
                self._waiting.append(_Arrived(queue_id, sender, account))
        if self._waiting and not self._is_working:
            self._is_working = True
            Deferred.fromCoroutine(self._work()).addErrback(lambda failure: maillog.bug("vacation reply", failure))

    async def _work(self) -> None:
        try:
            while self._waiting:
                arrived = self._waiting.popleft()
                try:
                    await self._answer(arrived)
                except (StoreTrouble, OSError) as error:
                    maillog.trouble("vacation reply", error)
        finally:
            self._is_working = False

    async def _answer(self, arrived: _Arrived) -> None:
        account, sender = arrived.account, arrived.sender
        fields = await self._header(arrived.queue_id)
        directory = self._keeper.current
        if refuse_answer(sender, fields, lambda address: directory.is_own(account, address)) is not None:
            return
        now = self._now()

        def begin(connection: Connection) -> tuple[str, str] | None:
            return absences.begin_answer(connection, account.id, sender.key, micros(now), micros(now - AGAIN_AFTER))

        words = await self._database.write(begin)
        if words is None:
            return
        message_id = f"<{self._token()}@{self._hostname}>"
        content = make_answer(Away(account.address, *words), sender, fields, now, message_id)
        envelope = Envelope(
            NULL_SENDER,
            [Recipient(sender, notify=Notify.NEVER)],
            body=Body.SEVEN_BIT if content.isascii() else Body.EIGHT_BIT,
            smtputf8=not (account.address.local + sender.local).isascii(),
            size_octets=len(content),
        )
        answer_id = await self._accept(envelope, content)
        maillog.answered(arrived.queue_id, answer_id, str(account.address), str(sender))

    async def _header(self, queue_id: str) -> list[Field]:
        """The header section of a message; empty when its content is gone already."""
        place = await self._database.read(lambda connection: absences.content_of(connection, queue_id))
        if place is None:
            return []
        octets = await self._contents.stored(*place).start(MAX_HEADER_OCTETS)
        return list(read_fields(octets.partition(b"\r\n\r\n")[0] + b"\r\n"))


def _is_away(account: Account, at: int) -> bool:
    if account.away is None or account.state is not AccountState.ACTIVE:
        return False
    starts_at, ends_at = account.away
    return starts_at <= at < ends_at
