"""Every reply that the protocol itself gives; those of a decision come from `reception/`.

Enhanced codes stand on all of them but the greeting, EHLO, HELO, 334 and 354 (RFC 2034 section 4). Neighbours:
`session` and `command` send them.
"""

from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.wire.dots import Defect

OK = reply(250, Status.UNDEFINED, "OK")
BYE = reply(221, Status.UNDEFINED, "bye")
START_TLS = reply(220, Status.UNDEFINED, "ready to start TLS")
START_CONTENT = Reply(354, None, "send the message, end it with a dot alone on a line")
HELP = reply(214, Status.UNDEFINED, "EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY STARTTLS AUTH QUIT; see RFC 5321")
VERIFY_NOT = reply(252, Status.UNDEFINED, "cannot verify; send a message and see")

SHUTTING_DOWN = reply(421, Status.NOT_ACCEPTING, "this host is shutting down; try again soon")
TIMED_OUT = reply(421, Status.BAD_CONNECTION, "nothing came for too long")
TOO_MANY_ERRORS = reply(421, Status.SECURITY_OTHER, "too many errors")
TOO_MANY_MESSAGES = reply(421, Status.SECURITY_OTHER, "enough messages for one connection; connect again")
TOO_MANY_CONNECTIONS = reply(421, Status.NOT_ACCEPTING, "too many connections; try again later")
TOO_MANY_FROM_ADDRESS = reply(421, Status.SECURITY_OTHER, "too many connections from your address")
LOCAL_ERROR_AT_CONNECT = reply(421, Status.SYSTEM_OTHER, "an error on our side; try again later")
LOGIN_TROUBLE = reply(454, Status.SECURITY_OTHER, "an error on our side; nobody can log in now")
LOCAL_ERROR = reply(451, Status.SYSTEM_OTHER, "an error on our side; try again later")

TALKS_TOO_EARLY = reply(554, Status.BAD_SEQUENCE, "wait for the greeting before you speak")
LINE_TOO_LONG = reply(500, Status.BAD_SYNTAX, "the line is too long")
BAD_OCTETS = reply(500, Status.BAD_SYNTAX, "a command is one line of printable text, ended by CRLF")
UNKNOWN_COMMAND = reply(500, Status.BAD_SEQUENCE, "unknown command")
NOT_IMPLEMENTED = reply(502, Status.BAD_SEQUENCE, "not implemented")
NO_ARGUMENT_ALLOWED = reply(501, Status.BAD_PARAMETER, "this command takes no argument")
BAD_HELO = reply(501, Status.BAD_PARAMETER, "EHLO needs your host name or address literal")
BAD_MAIL = reply(501, Status.BAD_PARAMETER, "the form is MAIL FROM:<address>, then parameters")
BAD_RCPT = reply(501, Status.BAD_PARAMETER, "the form is RCPT TO:<address>, then parameters")
BAD_BDAT = reply(501, Status.BAD_PARAMETER, "the form is BDAT octets, then LAST for the last chunk")
BAD_VRFY = reply(501, Status.BAD_PARAMETER, "VRFY needs a name")
NEEDS_SMTPUTF8 = reply(553, Status.UTF8_UNSUPPORTED, "an address beyond ASCII needs the SMTPUTF8 parameter")

SAY_EHLO_FIRST = reply(503, Status.BAD_SEQUENCE, "say EHLO first")
SAY_MAIL_FIRST = reply(503, Status.BAD_SEQUENCE, "begin with MAIL")
SAY_RCPT_FIRST = reply(503, Status.BAD_SEQUENCE, "name a recipient first")
NO_VALID_RECIPIENTS = reply(554, Status.BAD_SEQUENCE, "no valid recipients")
TRANSACTION_IS_OPEN = reply(503, Status.BAD_SEQUENCE, "not within a transaction")
CHUNKS_HAVE_BEGUN = reply(503, Status.BAD_SEQUENCE, "the content is coming by BDAT; only BDAT, RSET or QUIT now")

TLS_IS_ON = reply(503, Status.BAD_SEQUENCE, "TLS is on already")
TLS_NOT_OFFERED = reply(502, Status.BAD_SEQUENCE, "TLS is not offered")
TLS_FIRST = reply(530, Status.SECURITY_OTHER, "issue STARTTLS first")
AUTH_FIRST = reply(530, Status.SECURITY_OTHER, "authentication required")
AUTH_NEEDS_TLS = reply(538, Status.ENCRYPTION_NEEDED, "issue STARTTLS before AUTH")
AUTH_NOT_OFFERED = reply(502, Status.BAD_SEQUENCE, "authentication is not offered here; use the submission port")
AUTH_IS_DONE = reply(503, Status.BAD_SEQUENCE, "authenticated already")
AUTH_UNKNOWN_MECHANISM = reply(504, Status.BAD_PARAMETER, "the mechanisms are those that EHLO shows")
AUTH_CANCELLED = reply(501, Status.SECURITY_OTHER, "authentication cancelled")
AUTH_NOT_BASE64 = reply(501, Status.BAD_SYNTAX, "that is not base64")
AUTH_LINE_TOO_LONG = reply(500, Status.AUTH_LINE_TOO_LONG, "the line is too long")
AUTH_MALFORMED = reply(501, Status.BAD_SYNTAX, "that does not fit the mechanism")

TOO_MANY_RECIPIENTS = reply(
    452, Status.TOO_MANY_RECIPIENTS, "too many recipients; send the rest in another transaction"
)
TOO_BIG = reply(552, Status.TOO_BIG, "the message is larger than this host takes")
DEFECTS = {
    Defect.BARE_LINE_END: reply(554, Status.CONTENT_OTHER, "the content has a bare CR or LF; lines end in CRLF"),
    Defect.NUL: reply(554, Status.CONTENT_OTHER, "the content has a NUL octet"),
    Defect.LONG_LINE: reply(554, Status.CONTENT_OTHER, "the content has a line that is too long"),
}


def chunk_received(octets: int) -> Reply:
    """A chunk that is not the last was taken (RFC 3030 section 2)."""
    return reply(250, Status.UNDEFINED, f"{octets} octets received")


def bad_parameter(why: str) -> Reply:
    """A known parameter with a value that it cannot have."""
    return reply(501, Status.BAD_PARAMETER, why)


def unknown_parameter(keyword: str) -> Reply:
    """A parameter that EHLO does not offer (RFC 5321 section 4.1.1.11)."""
    return reply(555, Status.BAD_PARAMETER, f"unknown parameter {keyword}")


def bad_sender(why: str) -> Reply:
    """A reverse-path that is no address."""
    return reply(501, Status.BAD_SENDER_ADDRESS, why)


def bad_recipient(why: str) -> Reply:
    """A forward-path that is no address."""
    return reply(501, Status.BAD_ADDRESS, why)
