"""Commands of the client, from octets to values (RFC 5321 section 4.1.1, RFC 3030, RFC 6531).

Each function gives what it read, or the Reply that refuses it; none raises. Neighbours: `parameters` reads what
follows a path; `session` knows when a command is legal.
"""

import re
from typing import NamedTuple

from mailstack.mail.address import NULL_SENDER, Address, AddressError, parse_address
from mailstack.mail.envelope import Envelope, Recipient
from mailstack.mail.reply import Reply
from mailstack.smtp import replies
from mailstack.smtp.parameters import read_mail_parameters, read_rcpt_parameters

MAX_COMMAND_OCTETS = 2048
"""A command with all its parameters: RFC 5321's 512 and what SIZE, DSN, AUTH, SMTPUTF8 add to it."""
MAX_AUTH_OCTETS = 12288
"""An AUTH command or a line of its exchange, CRLF included (RFC 4954 section 4)."""

# possessive, so that no input makes the match slow
_PATH = r' *<(?:@[^:<>" ]*+:)?((?:[^<>"\\ ]++|"(?:[^"\\]|\\.)*+")*+)>(?: +(.*))?\Z'
_FROM = re.compile("(?i:FROM):" + _PATH)
_TO = re.compile("(?i:TO):" + _PATH)
_BDAT = re.compile(r"([0-9]{1,20})( +(?i:LAST))?\Z")
_HELO = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*)|\[[A-Za-z0-9.:]+\])\Z")
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f]")
_POSTMASTER = Address("postmaster", "")


class Command(NamedTuple):
    """A command line: verb in upper case, and the rest."""

    verb: str
    argument: str


class Chunk(NamedTuple):
    """What BDAT announces."""

    octets: int
    is_last: bool


class MailCommand(NamedTuple):
    """What MAIL says: the envelope to come, and the decoded AUTH= (RFC 4954 section 5)."""

    envelope: Envelope
    auth_param: str | None


def parse_command(line: bytes) -> Command | Reply:
    """Split a line without its CRLF; trailing blanks are ignored (RFC 5321 section 4.1.1)."""
    if line.isascii():
        text = line.decode("ascii").rstrip(" \t")
        if not text.isprintable():
            return replies.BAD_OCTETS
    else:
        try:
            text = line.decode("utf-8").rstrip(" \t")
        except UnicodeDecodeError:
            return replies.BAD_OCTETS
        if _CONTROL.search(text):
            return replies.BAD_OCTETS
    verb, _, argument = text.partition(" ")
    verb = verb.upper()
    if len(line) > MAX_COMMAND_OCTETS - 2 and verb != "AUTH":
        return replies.LINE_TOO_LONG
    return Command(verb, argument)


def parse_helo(argument: str) -> str | Reply:
    """The client's name for itself. Wrong names are common and harmless, so only what is no name at all is refused."""
    return argument if len(argument) <= 255 and _HELO.match(argument) else replies.BAD_HELO


def parse_mail(argument: str, *, offers_auth: bool) -> MailCommand | Reply:
    """Read `FROM:<path> parameters`. `offers_auth`: whether AUTH= is a known parameter here."""
    found = _FROM.match(argument)
    if not found:
        return replies.BAD_MAIL
    path, parameters = found.groups()
    envelope = Envelope(NULL_SENDER)
    auth_param: str | None = None
    if parameters:
        read = read_mail_parameters(parameters, envelope, offers_auth=offers_auth)
        if isinstance(read, Reply):
            return read
        auth_param = read
    if path:
        if not envelope.smtputf8 and not path.isascii():
            return replies.NEEDS_SMTPUTF8
        try:
            envelope.reverse_path = parse_address(path)
        except AddressError as error:
            return replies.bad_sender(str(error))
    return MailCommand(envelope, auth_param)


def parse_rcpt(argument: str, *, smtputf8: bool) -> Recipient | Reply:
    """Read `TO:<path> parameters`. `smtputf8`: whether the transaction is one of RFC 6531."""
    found = _TO.match(argument)
    if not found:
        return replies.BAD_RCPT
    path, parameters = found.groups()
    if not smtputf8 and not path.isascii():
        return replies.NEEDS_SMTPUTF8
    if path.lower() == "postmaster":  # RFC 5321 section 4.1.1.3: the one address that may stand without a domain
        address = _POSTMASTER
    else:
        try:
            address = parse_address(path)
        except AddressError as error:
            return replies.bad_recipient(str(error))
    return read_rcpt_parameters(parameters, address) if parameters else Recipient(address)


def parse_bdat(argument: str) -> Chunk | Reply:
    """Read `octets [LAST]` (RFC 3030 section 2)."""
    found = _BDAT.match(argument)
    return Chunk(int(found[1]), found[2] is not None) if found else replies.BAD_BDAT


def parse_vrfy(argument: str) -> Reply:
    """The answer to VRFY: never an address, but the syntax is judged (RFC 5321 section 3.5.3, RFC 6531 section 3.7)."""
    name, _, last = argument.rpartition(" ")
    smtputf8 = last.upper() == "SMTPUTF8" and bool(name)
    if not argument.strip():
        return replies.BAD_VRFY
    return replies.VERIFY_NOT if smtputf8 or argument.isascii() else replies.NEEDS_SMTPUTF8
