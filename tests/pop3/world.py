"""A small world for POP3: a few messages in memory, one account, no store; and a driver of the pure session."""

from collections.abc import AsyncIterator
from typing import Any

from mailstack.pop3.bounds import Bounds
from mailstack.pop3.maildrop import Maildrop, whole_reply
from mailstack.pop3.questions import (
    AtHand,
    Commit,
    Fetch,
    FindVerifier,
    Large,
    LoggedIn,
    LogIn,
    Offers,
    OpenProven,
    Question,
    Refused,
    RefuseUnproven,
    Sent,
    StartTls,
)
from mailstack.pop3.replies import Code
from mailstack.pop3.session import Session
from mailstack.wire.scram import ScramVerifier, make_verifier

USER, PASSWORD = "alice@example.test", "correct horse"
MESSAGES = (
    b"Subject: one\r\n\r\nfirst\r\n.dotted\r\nlast\r\n",
    b"Subject: two\r\n\r\n" + b"a line of the second message\r\n" * 3,
    b"Subject: three\r\n\r\n",
)
NEVER = Offers()
BOUNDS = Bounds()
NONCE = "0123456789abcdefghij"


class FakeVisit:
    """Answers from memory; `trouble` makes the store fail, `large` makes messages too large for the window."""

    def __init__(self, messages: tuple[bytes, ...] = MESSAGES, offers: Offers = NEVER) -> None:
        self.messages = dict(enumerate(messages, 1))
        self.offers = offers
        self.account_offers = offers
        self.trouble = False
        self.large = False
        self.in_use = False
        self.committed = 0
        self.closed = 0
        self.maildrop: Maildrop | None = None

    async def log_in(self, username: str, password: str) -> LoggedIn | Refused:
        if (username, password) != (USER, PASSWORD):
            return Refused("The name or the password is wrong", Code.AUTH)
        return await self.open_proven(username)

    async def find_verifier(self, username: str) -> ScramVerifier | Refused | None:
        return make_verifier(PASSWORD, b"salt" * 4, 4096) if username == USER else None

    async def open_proven(self, username: str) -> LoggedIn | Refused:
        if self.trouble:
            return Refused("Not possible just now", Code.SYS_TEMP)
        if self.in_use:
            return Refused("Another session has the maildrop", Code.IN_USE)
        entries = [(number * 10, len(content), f"uid{number}") for number, content in self.messages.items()]
        self.maildrop = Maildrop(1, entries)
        return LoggedIn(username, self.maildrop, self.account_offers)

    async def refuse_unproven(self, username: str) -> Refused:
        return Refused("The name or the password is wrong", Code.AUTH)

    async def fetch(self, number: int) -> AtHand | Large | Refused:
        assert self.maildrop is not None
        if self.trouble:
            return Refused("Not possible just now", Code.SYS_TEMP)
        if self.large:
            return Large(len(self.messages[number]), self.blocks(number))
        for wanted in self.maildrop.read_ahead(number, 1000):
            self.maildrop.window[wanted] = whole_reply(self.maildrop.size(wanted), self.messages[wanted])
        return AtHand()

    async def blocks(self, number: int) -> AsyncIterator[bytes]:
        content = self.messages[number]
        step = max(7, len(content) // 20)
        for start in range(0, len(content), step):
            yield content[start : start + step]

    async def commit(self) -> bool:
        assert self.maildrop is not None
        if self.trouble:
            return False
        self.committed += 1
        for entry_id in self.maildrop.deleted_entry_ids():
            del self.messages[entry_id // 10]
        self.maildrop = None
        return True

    async def close(self) -> None:
        self.closed += 1
        self.maildrop = None


def run_now(coroutine: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def make_session(*, tls_on: bool = True, offers: Offers = NEVER, bounds: Bounds = BOUNDS) -> Session:
    return Session(offers=offers, make_nonce=lambda: NONCE, secret=b"s", tls_offered=True, tls_on=tls_on, bounds=bounds)


class Driver:
    """A pure session with its questions answered at once."""

    def __init__(self, session: Session | None = None, visit: FakeVisit | None = None) -> None:
        self.visit = visit or FakeVisit()
        self.session = session or make_session()
        self.questions: list[Question] = []
        self.greeting = self.session.take_output()

    def send(self, data: bytes) -> bytes:
        """All that the session says to these octets."""
        self.session.receive(data)
        out = []
        while True:
            question = self.session.run()
            out.append(self.session.take_output())
            if question is None:
                if self.session.is_full:
                    continue
                return b"".join(out)
            self.questions.append(question)
            self.answer(question)

    def answer(self, question: Question) -> None:
        visit, session = self.visit, self.session
        match question:
            case StartTls():
                session.tls_started()
            case LogIn(username=username, password=password):
                session.answer(run_now(visit.log_in(username, password)))
            case FindVerifier(username=username):
                session.answer(run_now(visit.find_verifier(username)))
            case OpenProven(username=username):
                session.answer(run_now(visit.open_proven(username)))
            case RefuseUnproven(username=username):
                session.answer(run_now(visit.refuse_unproven(username)))
            case Fetch(number=number):
                found = run_now(visit.fetch(number))
                session.answer(Sent() if isinstance(found, Large) else found)
            case Commit():
                session.answer(run_now(visit.commit()))

    def log_in(self) -> "Driver":
        assert self.send(f"USER {USER}\r\nPASS {PASSWORD}\r\n".encode()).count(b"+OK") == 2
        return self
