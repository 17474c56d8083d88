"""Answers the POP3 server's questions: who may log in, what a maildrop holds, what is removed (RFC 1939, 2449, 3206).

A `Visit` is one session's answerer. Trouble of ours becomes `[SYS/TEMP]` in the session and a line in the log.
Neighbours: `net/pop3_server` asks, `login` checks, `store/mailboxes` keeps the mail, `pop3/maildrop` is the snapshot
handed to the session.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime, timedelta

from mailstack import maillog
from mailstack.config import Pop3
from mailstack.login import LoginRefusal, Logins
from mailstack.pop3.maildrop import WINDOW_OCTETS, Maildrop, whole_reply
from mailstack.pop3.questions import AtHand, Large, LoggedIn, Offers, Refused
from mailstack.pop3.replies import Code
from mailstack.store.directory import Account, Directory, DirectoryKeeper, Domain
from mailstack.store.engine import StoreTrouble
from mailstack.store.mailboxes import KeptMessage, Mailboxes, OpenRefusal
from mailstack.wire.scram import ScramVerifier

LONGEST_AHEAD = WINDOW_OCTETS // 4
_NOT_NOW = Refused("Not possible just now, try again later", Code.SYS_TEMP)
_GONE = Refused("The message is not there any more", Code.SYS_PERM)
_REFUSALS = {
    LoginRefusal.WRONG: Refused("The name or the password is wrong", Code.AUTH),
    LoginRefusal.SUSPENDED: Refused("The account is suspended: ask your postmaster", Code.AUTH),
    LoginRefusal.TOO_MANY_FAILURES: Refused("Too many failed log-ins, try again later", Code.AUTH),
    OpenRefusal.IN_USE: Refused("Another session has the maildrop", Code.IN_USE),
}


class Retrieval:
    """What all POP3 sessions share."""

    def __init__(
        self,
        logins: Logins,
        mailboxes: Mailboxes,
        keeper: DirectoryKeeper,
        settings: Pop3,
        now: Callable[[], datetime],
    ) -> None:
        self.logins = logins
        self.mailboxes = mailboxes
        self.now = now
        self._keeper = keeper
        self._settings = settings
        self._told = Offers()
        self._told_of: Directory | None = None

    def take_settings(self, settings: Pop3) -> None:
        """Other offers from now on."""
        self._settings = settings
        self._told_of = None

    def visit(self, client_address: str) -> "MaildropVisit":
        """An answerer for one session."""
        return MaildropVisit(self, client_address)

    def general_offers(self) -> Offers:
        """EXPIRE and LOGIN-DELAY before log-in: the shortest and the longest of any (RFC 2449 sections 6.5, 6.7)."""
        directory = self._keeper.current
        if directory is not self._told_of:
            self._told, self._told_of = self._sum_up(directory.domains), directory
        return self._told

    def _sum_up(self, domains: Iterable[Domain]) -> Offers:
        each = {self.offers(domain) for domain in domains} or {self._offers(None, None)}
        days = [offer.expire_days for offer in each if offer.expire_days is not None]
        delay = max(offer.login_delay_seconds for offer in each)
        return Offers(min(days, default=None), delay, differ=len(each) > 1)

    def offers(self, domain: Domain) -> Offers:
        """EXPIRE and LOGIN-DELAY of a domain's accounts."""
        return self._offers(domain.expire_days, domain.login_delay_seconds)

    def _offers(self, expire_days: int | None, delay_seconds: int | None) -> Offers:
        settings = self._settings
        return Offers(
            expire_days=settings.expire if expire_days is None else expire_days,
            login_delay_seconds=(int(settings.login_delay.total_seconds()) if delay_seconds is None else delay_seconds),
        )


async def _behind(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk


class MaildropVisit:
    """One session's answerer (`pop3/questions.Visit`)."""

    def __init__(self, retrieval: Retrieval, client_address: str) -> None:
        self._retrieval = retrieval
        self._client = client_address
        self._account: Account | None = None
        self._maildrop: Maildrop | None = None

    @property
    def offers(self) -> Offers:
        """EXPIRE and LOGIN-DELAY before log-in."""
        return self._retrieval.general_offers()

    # --- log-in -------------------------------------------------------------------------------------------------------

    async def log_in(self, username: str, password: str) -> LoggedIn | Refused:
        """Check a password, then lock and list the maildrop."""
        try:
            outcome = await self._retrieval.logins.attempt(username, password, self._client)
            return await self._enter(username, outcome, "password")
        except StoreTrouble as trouble:
            return self._trouble("log-in", trouble)

    async def find_verifier(self, username: str) -> ScramVerifier | Refused | None:
        """The verifier of a name, once earlier failures allow another try."""
        logins = self._retrieval.logins
        try:
            if not await logins.admit(username, self._client):
                return self._refuse(username, LoginRefusal.TOO_MANY_FAILURES)
            return await logins.verifier(username)
        except StoreTrouble as trouble:
            return self._trouble("log-in", trouble)

    async def open_proven(self, username: str) -> LoggedIn | Refused:
        """Lock and list the maildrop of a name that has proven itself."""
        try:
            outcome = self._retrieval.logins.proven(username, self._client)
            return await self._enter(username, outcome, "SCRAM-SHA-256")
        except StoreTrouble as trouble:
            return self._trouble("log-in", trouble)

    async def refuse_unproven(self, username: str) -> Refused:
        """Count a failed proof."""
        return self._refuse(username, self._retrieval.logins.disproven(username, self._client))

    async def _enter(self, username: str, outcome: Account | LoginRefusal, mechanism: str) -> LoggedIn | Refused:
        if isinstance(outcome, LoginRefusal):
            return self._refuse(username, outcome)
        maillog.login("pop3", self._client, str(outcome.address), mechanism)
        retrieval = self._retrieval
        offers = retrieval.offers(outcome.domain)
        delay = timedelta(seconds=offers.login_delay_seconds)
        opened = await retrieval.mailboxes.open(outcome.id, retrieval.now(), delay)
        if opened is OpenRefusal.TOO_SOON:
            return Refused(f"Log in at most once each {offers.login_delay_seconds} seconds", Code.LOGIN_DELAY)
        if isinstance(opened, OpenRefusal):
            return _REFUSALS[opened]
        self._account = outcome
        self._maildrop = Maildrop(outcome.id, opened)
        return LoggedIn(str(outcome.address), self._maildrop, offers)

    def _refuse(self, username: str, refusal: LoginRefusal) -> Refused:
        maillog.login_failed("pop3", self._client, username, refusal.value)
        return _REFUSALS[refusal]

    def _trouble(self, what: str, trouble: StoreTrouble) -> Refused:
        maillog.trouble(f"POP3 {what}", trouble)
        return _NOT_NOW

    # --- messages -----------------------------------------------------------------------------------------------------

    async def fetch(self, number: int) -> AtHand | Large | Refused:
        """Read a message and those likely to be wanted next into the window; a large one comes block by block."""
        maildrop = self._open_maildrop
        numbers = maildrop.read_ahead(number, LONGEST_AHEAD)
        try:
            kept = await self._retrieval.mailboxes.read([maildrop.entry_id(wanted) for wanted in numbers])
        except StoreTrouble as trouble:
            return self._trouble("reading", trouble)
        for wanted in numbers:
            message = kept.get(maildrop.entry_id(wanted))
            if message is not None and message.body is not None:
                maildrop.window[wanted] = whole_reply(maildrop.size(wanted), message.prefix + message.body)
        wanted_message = kept.get(maildrop.entry_id(number))
        if wanted_message is None:
            return _GONE
        if wanted_message.body is None:
            return await self._open_large(maildrop.size(number), wanted_message)
        return AtHand()

    async def _open_large(self, size_octets: int, message: KeptMessage) -> Large | Refused:
        chunks = self._retrieval.mailboxes.stored(message).chunks()
        try:
            first = await anext(chunks, b"")  # a file that cannot be read is found before anything is said
        except OSError as error:
            maillog.trouble("POP3 reading", error)
            return _NOT_NOW
        return Large(size_octets, _behind(message.prefix + first, chunks))

    # --- the end ------------------------------------------------------------------------------------------------------

    async def commit(self) -> bool:
        """Remove what is marked as deleted; True once that is on disk and the maildrop is free."""
        maildrop = self._open_maildrop
        entry_ids = maildrop.deleted_entry_ids()
        mailboxes = self._retrieval.mailboxes
        try:
            if entry_ids:
                await mailboxes.remove(maildrop.account_id, entry_ids)
            else:
                await mailboxes.close(maildrop.account_id)
        except StoreTrouble as trouble:
            maillog.trouble("POP3 removal", trouble)
            return not entry_ids  # with nothing to remove, nothing was lost: the lease ends by itself
        self._log_end(len(entry_ids))
        return True

    async def close(self) -> None:
        """Let go of the maildrop if `commit` has not; deletes nothing."""
        if self._maildrop is None:
            return
        account_id = self._maildrop.account_id
        self._log_end(0)
        try:
            await self._retrieval.mailboxes.close(account_id)
        except StoreTrouble as trouble:
            maillog.trouble("POP3 lock", trouble)

    def _log_end(self, deleted: int) -> None:
        maildrop, self._maildrop = self._open_maildrop, None
        account = str(self._account.address) if self._account else ""
        maillog.fetched(self._client, account, maildrop.fetched_count, deleted, maildrop.fetched_octets)

    @property
    def _open_maildrop(self) -> Maildrop:
        if self._maildrop is None:
            raise RuntimeError("no maildrop is open")
        return self._maildrop
