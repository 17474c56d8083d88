"""A host for SMTP sessions in tests: addresses say what becomes of them, and all that happens is kept as a line."""

from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.smtp.questions import LoginDecision
from mailstack.wire.scram import make_verifier

USER = "alice@example.test"
PASSWORD = "pencil"
VERIFIER = make_verifier(PASSWORD, b"0123456789abcdef", 4096)
OK = reply(250, Status.UNDEFINED, "fine")
WELCOME = LoginDecision(reply(235, Status.SECURITY_OTHER, "welcome"), USER)
WRONG = LoginDecision(reply(535, Status.AUTH_FAILED, "wrong username or password"))
ANSWERS = {
    "refused": reply(550, Status.NOT_AUTHORISED, "refused"),
    "unknown": reply(550, Status.UNKNOWN_MAILBOX, "no such mailbox"),
    "later": reply(451, Status.SYSTEM_OTHER, "later"),
    "bye": reply(421, Status.NOT_ACCEPTING, "not today"),
}


class FakeReception:
    """Answers at once."""

    def __init__(self):
        self.log = []
        self.contents = []
        self.refusals = []
        self.welcome: Reply | None = None
        self.sessions = []

    async def connected(self, session):
        self.sessions.append(session)
        return self.welcome

    async def password(self, session, username, password):
        self._note(f"password {username}")
        return WELCOME if (username, password) == (USER, PASSWORD) else WRONG

    async def verifier(self, session, username):
        self._note(f"verifier {username}")
        return VERIFIER if username == USER else None

    async def scram_proven(self, session, username):
        return WELCOME

    async def scram_refused(self, session, username):
        return WRONG

    async def mail_from(self, session, envelope, auth_param):
        extras = [
            f"{name}={value}"
            for name, value in (
                ("BODY", envelope.body if envelope.body != "7BIT" else None),
                ("SIZE", envelope.size_octets),
                ("SMTPUTF8", envelope.smtputf8 or None),
                ("RET", envelope.ret),
                ("ENVID", envelope.envid),
                ("AUTH", auth_param),
            )
            if value is not None
        ]
        self._note(" ".join([f"mail <{envelope.reverse_path}>", *extras]))
        return self._decide(envelope.reverse_path)

    async def rcpt_to(self, session, envelope, recipient):
        notify = "" if recipient.notify is None else f" NOTIFY={recipient.notify.name or recipient.notify.value}"
        orcpt = f" ORCPT={recipient.orcpt}" if recipient.orcpt else ""
        self._note(f"rcpt <{recipient.address}>{notify}{orcpt}")
        return self._decide(recipient.address)

    def refused(self, session, envelope, refusal):
        self.refusals.append((str(envelope.reverse_path) if envelope else None, refusal.code))

    def content_begins(self, session, envelope):
        if any(recipient.address.local == "nosink" for recipient in envelope.recipients):
            raise RuntimeError("no sink")
        return FakeSink(self, envelope)

    def _note(self, line):
        self.log.append(line)

    @staticmethod
    def _decide(address):
        if address.local == "raise":
            raise RuntimeError("a decision that raises")
        return ANSWERS.get(address.local, OK)


class FakeSink:
    def __init__(self, reception, envelope):
        self.reception = reception
        self.content = b""
        self.locals = {recipient.address.local for recipient in envelope.recipients}

    def write(self, data):
        if "nowrite" in self.locals:
            raise RuntimeError("a sink that raises")
        self.content += data

    async def finish(self):
        if "nofinish" in self.locals:
            raise RuntimeError("a commit that raises")
        if "full" in self.locals:
            return reply(452, Status.SYSTEM_FULL, "the disk is full")
        self.reception.log.append(
            f"content {self.content!r}" if len(self.content) < 200 else f"{len(self.content)} octets"
        )
        self.reception.contents.append(self.content)
        return reply(250, Status.UNDEFINED, f"accepted as M{len(self.reception.contents)}")

    def abandon(self):
        self.reception.log.append("abandoned")
