"""The commands of SMTP and the states in which each is legal (RFC 5321 section 4.1.4): one table, a function for each.

A function judges its command and then answers it or asks. Neighbours: `session` reads the lines and holds the state;
`command` and `parameters` parse; `replies` has the words.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from mailstack.mail.reply import Reply
from mailstack.smtp import authentication, replies
from mailstack.smtp.command import Command, parse_bdat, parse_helo, parse_mail, parse_rcpt, parse_vrfy
from mailstack.smtp.events import ContentBegins, MailFrom, RcptTo, StartTls
from mailstack.smtp.profile import MAX_MESSAGES
from mailstack.smtp.questions import Service
from mailstack.smtp.state import State
from mailstack.wire.dots import ChunkReader, ContentReader

if TYPE_CHECKING:
    from mailstack.smtp.session import Session


class Verb(NamedTuple):
    """Where a command is legal, and what it does."""

    states: frozenset[State]
    run: Callable[["Session", str], None]


def run_command(session: "Session", command: Command) -> None:
    """Run a command, or refuse it as unknown or out of order."""
    verb = VERBS.get(command.verb)
    if verb is None:
        session.refuse(replies.UNKNOWN_COMMAND)
    elif session.state in verb.states:
        verb.run(session, command.argument)
    else:
        session.refuse(_out_of_order(session))


def _out_of_order(session: "Session") -> Reply:
    if session.state is State.READY and _lacks_login(session):
        return replies.AUTH_FIRST if session.facts.tls else replies.TLS_FIRST
    return OUT_OF_ORDER[session.state]


def _lacks_login(session: "Session") -> bool:
    return session.profile.service is Service.SUBMISSION and session.facts.login is None


def _ehlo(session: "Session", argument: str) -> None:
    if _greet(session, argument, esmtp=True):
        profile = session.profile
        session.say_idle(profile.ehlo_tls if session.facts.tls else profile.ehlo_clear)


def _helo(session: "Session", argument: str) -> None:
    if _greet(session, argument, esmtp=False):
        session.say_idle(session.profile.helo)


def _greet(session: "Session", argument: str, *, esmtp: bool) -> bool:
    name = parse_helo(argument)
    if isinstance(name, Reply):
        session.refuse(name)
        return False
    session.drop_transaction()
    session.facts.helo, session.facts.esmtp = name, esmtp
    session.state = State.READY
    return True


def _mail(session: "Session", argument: str) -> None:
    if _lacks_login(session):
        session.refuse(replies.AUTH_FIRST if session.facts.tls else replies.TLS_FIRST)
        return
    if session.messages >= MAX_MESSAGES:
        session.end(replies.TOO_MANY_MESSAGES)
        return
    profile = session.profile
    parsed = parse_mail(argument, offers_auth=profile.service is Service.SUBMISSION)
    if isinstance(parsed, Reply):
        session.refuse(parsed)
    elif (parsed.envelope.size_octets or 0) > profile.max_message_size:
        session.refuse(replies.TOO_BIG)  # RFC 1870 section 6.1
    else:
        session.ask(MailFrom(parsed.envelope, parsed.auth_param))


def _rcpt(session: "Session", argument: str) -> None:
    transaction = session.transaction
    assert transaction is not None  # noqa: S101 - legal only within one
    envelope = transaction.envelope
    recipient = parse_rcpt(argument, smtputf8=envelope.smtputf8)
    if isinstance(recipient, Reply):
        transaction.refused_recipients += 1
        session.refuse(recipient)
    elif len(envelope.recipients) >= session.profile.max_recipients:
        transaction.overshoot += 1
        if transaction.overshoot > session.profile.recipient_overshoot:
            session.refuse(replies.TOO_MANY_RECIPIENTS)
        else:
            session.say(replies.TOO_MANY_RECIPIENTS)
    else:
        session.ask(RcptTo(envelope, recipient))


def _data(session: "Session", argument: str) -> None:
    transaction = session.transaction
    assert transaction is not None  # noqa: S101 - legal only within one
    if argument:
        session.refuse(replies.NO_ARGUMENT_ALLOWED)
    elif refusal := transaction.lacks_recipients:
        session.refuse(refusal)
    else:
        transaction.reader = ContentReader(session.profile.max_line)
        session.state = State.DATA
        session.say(replies.START_CONTENT)
        session.notify(ContentBegins(transaction.envelope))


def _bdat(session: "Session", argument: str) -> None:
    """Judge the chunk, then read it: a refused one too, for its octets come in any case (RFC 3030 section 2)."""
    chunk = parse_bdat(argument)
    if isinstance(chunk, Reply):
        session.refuse(chunk)
        return
    session.chunk, session.chunk_left = chunk, chunk.octets
    session.chunk_refusal = _refuse_chunk(session, chunk.octets)
    session.state = State.CHUNK


def _refuse_chunk(session: "Session", octets: int) -> Reply | None:
    transaction = session.transaction
    if transaction is None:
        return _out_of_order(session)
    if refusal := transaction.lacks_recipients:
        return refusal
    is_first = transaction.reader is None
    if is_first:
        transaction.reader = ChunkReader(session.profile.max_line)
    if not transaction.has_room(octets):
        if is_first:
            transaction.is_abandoned = True
        session.notify(transaction.abandon())
        return replies.TOO_BIG
    if is_first:
        session.notify(ContentBegins(transaction.envelope))
    return None


def _rset(session: "Session", argument: str) -> None:
    if argument:
        session.refuse(replies.NO_ARGUMENT_ALLOWED)
        return
    session.drop_transaction()
    if session.state is not State.NEW:
        session.state = State.READY
    session.say_idle(replies.OK)


def _noop(session: "Session", argument: str) -> None:  # noqa: ARG001 - any argument is ignored
    session.say_idle(replies.OK)


def _help(session: "Session", argument: str) -> None:  # noqa: ARG001 - any argument is ignored
    session.say_idle(replies.HELP)


def _vrfy(session: "Session", argument: str) -> None:
    answer = parse_vrfy(argument)
    if answer.is_positive:
        session.say_idle(answer)
    else:
        session.refuse(answer)


def _not_implemented(session: "Session", argument: str) -> None:  # noqa: ARG001 - whatever it says
    session.refuse(replies.NOT_IMPLEMENTED)


def _quit(session: "Session", argument: str) -> None:
    if argument:
        session.refuse(replies.NO_ARGUMENT_ALLOWED)
    else:
        session.end(replies.BYE)


def _starttls(session: "Session", argument: str) -> None:
    if argument:
        session.refuse(replies.NO_ARGUMENT_ALLOWED)
    elif session.facts.tls:
        session.refuse(replies.TLS_IS_ON)
    elif not session.profile.offers_tls:
        session.refuse(replies.TLS_NOT_OFFERED)
    else:
        session.drop_transaction()
        session.state = State.TLS
        session.say(replies.START_TLS)
        session.notify(StartTls())


def _auth(session: "Session", argument: str) -> None:
    if session.profile.service is Service.MX:
        session.refuse(replies.AUTH_NOT_OFFERED)
    elif session.facts.tls is None:
        session.refuse(replies.AUTH_NEEDS_TLS)
    elif session.facts.login is not None:
        session.refuse(replies.AUTH_IS_DONE)
    else:
        begun = authentication.begin(argument, session.make_nonce(), session.profile.secret)
        if isinstance(begun, Reply):
            session.refuse(begun)
        else:
            session.authentication, move = begun
            session.authenticate(move)


_ANY = frozenset({State.NEW, State.READY, State.MAIL, State.CHUNKS})
_READY = frozenset({State.READY})
_MAIL = frozenset({State.MAIL})

VERBS = {
    "EHLO": Verb(_ANY, _ehlo),
    "HELO": Verb(_ANY, _helo),
    "MAIL": Verb(_READY, _mail),
    "RCPT": Verb(_MAIL, _rcpt),
    "DATA": Verb(_MAIL, _data),
    "BDAT": Verb(_ANY, _bdat),
    "RSET": Verb(_ANY, _rset),
    "NOOP": Verb(_ANY, _noop),
    "VRFY": Verb(_ANY, _vrfy),
    "HELP": Verb(_ANY, _help),
    "EXPN": Verb(_ANY, _not_implemented),
    "QUIT": Verb(_ANY, _quit),
    "STARTTLS": Verb(_ANY, _starttls),
    "AUTH": Verb(_READY, _auth),
}
OUT_OF_ORDER = {
    State.NEW: replies.SAY_EHLO_FIRST,
    State.READY: replies.SAY_MAIL_FIRST,
    State.MAIL: replies.TRANSACTION_IS_OPEN,
    State.CHUNKS: replies.CHUNKS_HAVE_BEGUN,
}
