"""Mail from our accounts (MSA, ports 587 and 465; RFC 6409): logged in, under their own names, within their limits.

Answers the questions of `smtp/questions.Reception`. Missing Date, Message-ID and From are added, Bcc is taken out.
Neighbours: `login.py` proves who speaks, `allowances` looks at the limits, `reception/intake` takes the
content.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from mailstack import maillog
from mailstack.config import Config
from mailstack.login import LoginRefusal, Logins
from mailstack.mail.address import NULL_SENDER, Address
from mailstack.mail.envelope import Envelope, Recipient
from mailstack.mail.header import complete_submission
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.policy.relay import Hosted, refuse_recipient
from mailstack.reception.allowances import Allowances
from mailstack.reception.header_gate import ContentRefused
from mailstack.reception.inbound import RECIPIENT_OK, SENDER_OK, refuse_loop, tell_refusal
from mailstack.reception.intake import Intake, Letter, LetterSink
from mailstack.reception.received import date_time, protocol_name, received_field
from mailstack.reception.recipients import find_hosted
from mailstack.reception.room import Room
from mailstack.smtp.questions import LoginDecision, SessionFacts
from mailstack.store.directory import Account, AccountState, DirectoryKeeper
from mailstack.store.submissions import Submitter
from mailstack.wire.scram import ScramVerifier

LOGGED_IN = reply(235, Status.SECURITY_OTHER, "welcome")
REFUSALS = {
    LoginRefusal.WRONG: reply(535, Status.AUTH_FAILED, LoginRefusal.WRONG.value),
    LoginRefusal.SUSPENDED: reply(535, Status.ACCOUNT_DISABLED, LoginRefusal.SUSPENDED.value),
    LoginRefusal.TOO_MANY_FAILURES: reply(454, Status.SECURITY_OTHER, LoginRefusal.TOO_MANY_FAILURES.value),
}
ACCOUNT_GONE = reply(550, Status.ACCOUNT_DISABLED, "the account is suspended or gone; ask your administrator")


class Submission:
    """Answers for sessions on the submission ports."""

    def __init__(
        self,
        config: Config,
        keeper: DirectoryKeeper,
        intake: Intake,
        room: Room,
        *,
        logins: Logins,
        allowances: Allowances,
    ) -> None:
        self._config = config
        self._keeper = keeper
        self._intake = intake
        self._room = room
        self._logins = logins
        self._allowances = allowances

    def take_settings(self, config: Config) -> None:
        """Other bounds from now on."""
        self._config = config

    async def connected(self, session: SessionFacts) -> Reply | None:
        """Everybody may try to log in."""
        return None

    async def password(self, session: SessionFacts, username: str, password: str) -> LoginDecision:
        """Is this the account's password?"""
        found = await self._logins.attempt(username, password, session.client_address)
        return _decide(found, session, username, "password")

    async def verifier(self, session: SessionFacts, username: str) -> ScramVerifier | None:
        """What SCRAM proves a password against; None lets the exchange fail at its end."""
        if not await self._logins.admit(username, session.client_address):
            return None
        return await self._logins.verifier(username)

    async def scram_proven(self, session: SessionFacts, username: str) -> LoginDecision:
        """The client has proven that it knows the password."""
        return _decide(self._logins.proven(username, session.client_address), session, username, "SCRAM-SHA-256")

    async def scram_refused(self, session: SessionFacts, username: str) -> LoginDecision:
        """The client has not."""
        return _decide(self._logins.disproven(username, session.client_address), session, username, "SCRAM-SHA-256")

    async def mail_from(self, session: SessionFacts, envelope: Envelope, auth_param: str | None) -> Reply:
        """Does the reverse-path belong to the account? The null sender does: receipts are sent from it (RFC 8098)."""
        account = self._account(session)
        if account is None:
            return ACCOUNT_GONE
        refusal = self._room.refuse_mail()
        if refusal is None and not envelope.is_report:
            refusal = self._refuse_names(account, [envelope.reverse_path], "reverse-path")
        if refusal:
            maillog.refused(session.client_address, "mail", refusal, sender=str(envelope.reverse_path))
        return refusal or SENDER_OK

    async def rcpt_to(self, session: SessionFacts, envelope: Envelope, recipient: Recipient) -> Reply:
        """Does the recipient exist, where we can know it, and do the sending limits allow one more?"""
        account = self._account(session)
        if account is None:
            return ACCOUNT_GONE
        directory = self._keeper.current
        hosted = find_hosted(directory, recipient.address)
        refusal = refuse_recipient(hosted, str(recipient.address), may_relay=True)
        if refusal is None and hosted is Hosted.KNOWN:
            refusal = await self._room.refuse_recipient(directory, recipient.address, envelope.size_octets)
        if refusal is None:
            refusal = await self._allowances.refuse(self._submitter(account), envelope.recipients, recipient)
        if refusal:
            sender = str(envelope.reverse_path)
            maillog.refused(session.client_address, "rcpt", refusal, sender=sender, recipient=str(recipient.address))
        return refusal or RECIPIENT_OK

    def refused(self, session: SessionFacts, envelope: Envelope | None, refusal: Reply) -> None:
        """Tell the log what the protocol core refused."""
        tell_refusal(session, envelope, refusal)

    def content_begins(self, session: SessionFacts, envelope: Envelope) -> LetterSink:
        """Receive the content; its header is completed and its From judged."""
        account = self._account(session)
        letter = Letter(
            self._intake.new_queue_id(),
            "submission",
            envelope,
            client=session.client_address,
            protocol=protocol_name(session, envelope),
            login=session.login,
            submitter=self._submitter(account) if account else None,
        )
        return self._intake.new_sink(letter, self._mender(session, letter, account), self._room.refuse_mail)

    def _mender(self, session: SessionFacts, letter: Letter, account: Account | None) -> Callable[[bytes], bytes]:
        config = self._config

        def mend(section: bytes) -> bytes:
            if account is None:
                raise ContentRefused(ACCOUNT_GONE)
            refuse_loop(section, config.smtp.max_received)
            now = datetime.now(UTC)
            sender = letter.envelope.reverse_path
            section, authors = complete_submission(
                section,
                sender=account.address if sender == NULL_SENDER else sender,
                date=date_time(now.replace(microsecond=0)),
                message_id=f"<{letter.queue_id}@{config.hostname}>",
            )
            refusal = self._refuse_names(account, authors, "From or Sender")
            if refusal:
                raise ContentRefused(refusal)
            letter.note_header(section)
            return received_field(session, letter.envelope, config.hostname, letter.queue_id, now) + section

        return mend

    def _refuse_names(self, account: Account, names: Iterable[Address], what: str) -> Reply | None:
        directory = self._keeper.current
        for name in names:
            if not directory.may_send_as(account, name):
                return reply(
                    550, Status.NOT_AUTHORISED, f"the {what} <{name}> does not belong to the account {account.address}"
                )
        return None

    def _account(self, session: SessionFacts) -> Account | None:
        """The account that logged in, unless it was suspended or removed since."""
        account = self._logins.account(session.login) if session.login else None
        return account if account and account.state is AccountState.ACTIVE else None

    def _submitter(self, account: Account) -> Submitter:
        rules = self._keeper.current.rules_of(account)
        return Submitter(account.id, account.domain.id, account.address.key, rules, account.frozen_why)


def _decide(found: Account | LoginRefusal, session: SessionFacts, username: str, mechanism: str) -> LoginDecision:
    if isinstance(found, LoginRefusal):
        maillog.login_failed("submission", session.client_address, username, found.value)
        return LoginDecision(REFUSALS[found], None)
    maillog.login("submission", session.client_address, str(found.address), mechanism)
    return LoginDecision(LOGGED_IN, found.address.key)
