"""Takes the questions of an SMTP session to the `Reception`, and its content to a sink.

An exception of the host's side is logged and becomes a 4yz reply: our own fault never fails a mail, and no traceback
reaches a client. Neighbours: `smtp_connection` drives it; `smtp/events` are what it handles.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.python.failure import Failure

from mailstack.smtp import events, replies
from mailstack.smtp.questions import ContentSink, LoginDecision, Reception
from mailstack.smtp.session import Answer, Session

ReportBug = Callable[[str, Failure], None]
_LOGIN_TROUBLE = LoginDecision(replies.LOGIN_TROUBLE)


class Dispatcher:
    """The host's side of one session."""

    def __init__(self, session: Session, reception: Reception, report_bug: ReportBug) -> None:
        self._session = session
        self._facts = session.facts
        self._reception = reception
        self._report_bug = report_bug
        self._sink: ContentSink | None = None

    async def handle(self, event: events.Event) -> None:
        """Act on a question, or on a notice about content."""
        await _HANDLERS[type(event)](self, event)

    def abandon(self) -> None:
        """Drop the content that is open, if any."""
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.abandon()
            except Exception:
                self._bug("content abandoned")

    def _bug(self, what: str) -> None:
        """Report the exception that is being handled: whatever it is, it is ours."""
        self._report_bug(what, Failure())  # type: ignore[no-untyped-call]

    async def _answer(self, what: str, answer: Awaitable[Answer], otherwise: Answer) -> None:
        try:
            answered = await answer
        except Exception:
            self._bug(what)
            answered = otherwise
        self._session.answer(answered)

    async def _connected(self, _: events.Connected) -> None:
        await self._answer("connected", self._reception.connected(self._facts), replies.LOCAL_ERROR_AT_CONNECT)

    async def _password(self, event: events.AskPassword) -> None:
        asked = self._reception.password(self._facts, event.username, event.password)
        await self._answer("password", asked, _LOGIN_TROUBLE)

    async def _verifier(self, event: events.AskVerifier) -> None:
        await self._answer("verifier", self._reception.verifier(self._facts, event.username), replies.LOGIN_TROUBLE)

    async def _scram_proven(self, event: events.ScramProven) -> None:
        await self._answer("login", self._reception.scram_proven(self._facts, event.username), _LOGIN_TROUBLE)

    async def _scram_refused(self, event: events.ScramRefused) -> None:
        await self._answer("login", self._reception.scram_refused(self._facts, event.username), _LOGIN_TROUBLE)

    async def _mail(self, event: events.MailFrom) -> None:
        asked = self._reception.mail_from(self._facts, event.envelope, event.auth_param)
        await self._answer("mail", asked, replies.LOCAL_ERROR)

    async def _rcpt(self, event: events.RcptTo) -> None:
        asked = self._reception.rcpt_to(self._facts, event.envelope, event.recipient)
        await self._answer("rcpt", asked, replies.LOCAL_ERROR)

    async def _content_begins(self, event: events.ContentBegins) -> None:
        try:
            self._sink = self._reception.content_begins(self._facts, event.envelope)
        except Exception:  # the content is read all the same, then answered with 451
            self._bug("content begins")

    async def _content_data(self, event: events.ContentData) -> None:
        if self._sink is None:
            return
        try:
            waits = self._sink.write(event.data)
            if waits is not None:
                await waits
        except Exception:  # the content is read all the same, then answered with 451
            self._bug("content")
            self.abandon()

    async def _content_ends(self, _: events.ContentEnds) -> None:
        sink, self._sink = self._sink, None
        if sink is None:
            self._session.answer(replies.LOCAL_ERROR)
        else:
            await self._answer("content ends", sink.finish(), replies.LOCAL_ERROR)

    async def _refused(self, event: events.Refused) -> None:
        try:
            self._reception.refused(self._facts, event.envelope, event.reply)
        except Exception:
            self._bug("refusal")

    async def _content_abandoned(self, _: events.ContentAbandoned) -> None:
        self.abandon()


_HANDLERS: dict[type[events.Event], Callable[[Dispatcher, Any], Coroutine[Any, Any, None]]] = {
    events.Connected: Dispatcher._connected,
    events.AskPassword: Dispatcher._password,
    events.AskVerifier: Dispatcher._verifier,
    events.ScramProven: Dispatcher._scram_proven,
    events.ScramRefused: Dispatcher._scram_refused,
    events.MailFrom: Dispatcher._mail,
    events.RcptTo: Dispatcher._rcpt,
    events.ContentBegins: Dispatcher._content_begins,
    events.ContentData: Dispatcher._content_data,
    events.ContentEnds: Dispatcher._content_ends,
    events.ContentAbandoned: Dispatcher._content_abandoned,
    events.Refused: Dispatcher._refused,
}
