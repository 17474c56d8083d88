"""What we say: each reply of the POP3 server in one place.

Response codes in brackets are those of RFC 2449 section 8 and RFC 3206. Neighbour: `session` says them.
"""

from enum import Enum

OK = b"+OK\r\n"
END = b".\r\n"


class Code(Enum):
    """The response codes (RFC 2449 section 8.1, RFC 3206 section 4)."""

    IN_USE = "IN-USE"
    LOGIN_DELAY = "LOGIN-DELAY"
    AUTH = "AUTH"
    SYS_TEMP = "SYS/TEMP"
    SYS_PERM = "SYS/PERM"


def ok(text: str) -> bytes:
    """`+OK text`."""
    return f"+OK {text}\r\n".encode()


def err(text: str, code: Code | None = None) -> bytes:
    """`-ERR [CODE] text`."""
    return f"-ERR [{code.value}] {text}\r\n".encode() if code else f"-ERR {text}\r\n".encode()


def octets(size_octets: int) -> bytes:
    """The line before a message; its size counts what follows before dot-stuffing (RFC 1939 section 11)."""
    return b"+OK %d octets\r\n" % size_octets


CAPABILITIES = ok("Capability list follows")
LISTING = ok("Listing follows")
TOP_FOLLOWS = ok("Top of message follows")
LANGUAGES = ok("Language listing follows:") + b"en English\r\ni-default English\r\n" + END
BEGIN_TLS = ok("Begin TLS negotiation")
UTF8_ON = ok("UTF-8 it is")
NAME_ACCEPTED = ok("Now the password")
RESET = ok("No message is marked as deleted")
BYE = ok("Bye")

NO_SUCH_MESSAGE = err("No such message")
ALREADY_DELETED = err("That message is deleted")
TLS_FIRST = err("Use STLS first: no password travels without TLS")
TLS_ALREADY = err("TLS is on already")
TLS_NOT_HERE = err("There is no TLS here")
USER_FIRST = err("USER comes before PASS")
UNKNOWN_MECHANISM = err("No such mechanism; CAPA lists them")
NO_SUCH_LANGUAGE = err("No such language; LANG lists them")
NOT_BASE64 = err("That is not base64")
CANCELLED = err("Cancelled")
LINE_TOO_LONG = err("The line is too long")
TOO_MANY_ERRORS = err("Too many errors, closing")
TOO_MANY_CONNECTIONS = err("Too many connections, try again later", Code.SYS_TEMP)
WRONG_CREDENTIALS = err("The name or the password is wrong", Code.AUTH)
NOT_NOW = err("Not possible just now, try again later", Code.SYS_TEMP)
NOT_REMOVED = err("The deletions could not be kept, nothing was removed", Code.SYS_TEMP)
