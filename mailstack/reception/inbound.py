"""Mail from the world (MX, port 25): only for domains of ours or whose backup MX we are; never a relay for strangers.

Answers the questions of `smtp/questions.Reception`. Decisions are `policy/relay`'s, facts come from the directory
snapshot and the resolver. Neighbours: `reception/submission` is the same for our own accounts; `reception/intake`
takes the content.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from mailstack import maillog
from mailstack.config import Config
from mailstack.mail.envelope import Envelope, Recipient
from mailstack.mail.header import count_received
from mailstack.mail.lookup import SenderDomain
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.policy.relay import Hosted, refuse_recipient, refuse_sender_domain
from mailstack.reception.header_gate import ContentRefused
from mailstack.reception.intake import Intake, Letter, LetterSink
from mailstack.reception.received import protocol_name, received_field
from mailstack.reception.recipients import find_hosted
from mailstack.reception.room import Room
from mailstack.smtp.questions import LoginDecision, SessionFacts
from mailstack.store.directory import DirectoryKeeper
from mailstack.wire.scram import ScramVerifier

SENDER_OK = reply(250, Status.ADDRESS_OTHER, "sender ok")
RECIPIENT_OK = reply(250, Status.ADDRESS_VALID, "recipient ok")
NO_LOGIN_HERE = reply(502, Status.BAD_SEQUENCE, "login is on the submission port")

AskSenderDomain = Callable[[str], Awaitable[SenderDomain]]


class Inbound:
    """Answers for sessions on the MX port."""

    def __init__(
        self, config: Config, keeper: DirectoryKeeper, intake: Intake, room: Room, ask_sender_domain: AskSenderDomain
    ) -> None:
        self._config = config
        self._keeper = keeper
        self._intake = intake
        self._room = room
        self._ask_sender_domain = ask_sender_domain

    def take_settings(self, config: Config) -> None:
        """Other bounds from now on."""
        self._config = config

    async def connected(self, session: SessionFacts) -> Reply | None:
        """Everybody may speak."""
        return None

    async def mail_from(self, session: SessionFacts, envelope: Envelope, auth_param: str | None) -> Reply:
        """Is there room, and can the sender's domain be real?"""
        refusal = self._room.refuse_mail() or await self._refuse_domain(envelope)
        if refusal:
            maillog.refused(session.client_address, "mail", refusal, sender=str(envelope.reverse_path))
        return refusal or SENDER_OK

    async def _refuse_domain(self, envelope: Envelope) -> Reply | None:
        domain = envelope.reverse_path.domain
        if not self._config.smtp.check_sender_domain or not domain or domain.startswith("["):
            return None
        if self._keeper.current.domain(domain):
            return None
        return refuse_sender_domain(await self._ask_sender_domain(domain), domain)

    async def rcpt_to(self, session: SessionFacts, envelope: Envelope, recipient: Recipient) -> Reply:
        """Is the recipient ours, and is there room in the mailbox?"""
        directory = self._keeper.current
        hosted = find_hosted(directory, recipient.address)
        refusal = refuse_recipient(hosted, str(recipient.address), may_relay=False)
        if refusal is None and hosted is Hosted.KNOWN:
            refusal = await self._room.refuse_recipient(directory, recipient.address, envelope.size_octets)
        if refusal:
            sender = str(envelope.reverse_path)
            maillog.refused(session.client_address, "rcpt", refusal, sender=sender, recipient=str(recipient.address))
        return refusal or RECIPIENT_OK

    def refused(self, session: SessionFacts, envelope: Envelope | None, refusal: Reply) -> None:
        """Tell the log what the protocol core refused."""
        tell_refusal(session, envelope, refusal)

    def content_begins(self, session: SessionFacts, envelope: Envelope) -> LetterSink:
        """Receive the content: a Received field goes in front, a loop is refused."""
        client = session.client_address
        letter = Letter(
            self._intake.new_queue_id(), "inbound", envelope, client=client, protocol=protocol_name(session, envelope)
        )

        def mend(section: bytes) -> bytes:
            refuse_loop(section, self._config.smtp.max_received)
            letter.note_header(section)
            now = datetime.now(UTC)
            return received_field(session, envelope, self._config.hostname, letter.queue_id, now) + section

        return self._intake.new_sink(letter, mend, self._room.refuse_mail)

    async def password(self, session: SessionFacts, username: str, password: str) -> LoginDecision:
        """Nobody logs in on the MX port; the protocol core offers no AUTH there."""
        return LoginDecision(NO_LOGIN_HERE, None)

    async def verifier(self, session: SessionFacts, username: str) -> ScramVerifier | None:
        """See `password`."""
        return None

    async def scram_proven(self, session: SessionFacts, username: str) -> LoginDecision:
        """See `password`."""
        return LoginDecision(NO_LOGIN_HERE, None)

    async def scram_refused(self, session: SessionFacts, username: str) -> LoginDecision:
        """See `password`."""
        return LoginDecision(NO_LOGIN_HERE, None)


def tell_refusal(session: SessionFacts, envelope: Envelope | None, refusal: Reply) -> None:
    """Log what the protocol core refused by itself: a line too long, a bare LF, a command out of order."""
    sender = str(envelope.reverse_path) if envelope else None
    maillog.refused(session.client_address, "protocol", refusal, sender=sender)


def refuse_loop(section: bytes, max_received: int) -> None:
    """Stop a message that goes in circles (RFC 5321 section 6.3).

    Raises:
        ContentRefused: it has more than `max_received` Received fields.
    """
    if count_received(section) > max_received:
        raise ContentRefused(reply(554, Status.LOOP, f"a loop: the message has passed more than {max_received} hosts"))
