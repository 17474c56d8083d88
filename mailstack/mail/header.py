"""The header section of a message, as octets: read what we must know, take out what must not leave, write what we add.

Nothing here decodes a message; the body never passes. Fields keep their octets, folding included. Neighbours:
`reception/header_gate` applies it to content that streams in; `delivery/bounce` returns header sections. RFC 5322
section 2.2, RFC 6409 section 8.
"""

import re
from collections.abc import Iterable, Iterator
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import getaddresses
from hashlib import sha256
from typing import NamedTuple

from mailstack.mail.address import Address, AddressError, parse_address

_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", re.MULTILINE)
_SIMPLE_MAILBOX = re.compile(
    r"\s*(?:[A-Za-z0-9 .'_-]*|\"[^\"\\]*\"\s*)<([^<>\s\"]+@[^<>\s\"]+)>\s*\Z|\s*([^<>\s\",:;]+@[^<>\s\",:;]+)\s*\Z"
)
_REPLY_MARKS = re.compile(r"(?:(?:re|fw|fwd|aw|wg|sv|vs|antw)(?:\[\d+\])?: ?)+")
_STRIPPED_AT_SUBMISSION = frozenset({b"bcc", b"resent-bcc", b"return-path"})


class HeaderError(ValueError):
    """A header section that cannot go on; the message says why and the mend, for a 5xx reply."""


class Field(NamedTuple):
    """One field: its name in lower case and all its octets, CRLF and folding included."""

    name: bytes
    octets: bytes

    @property
    def text(self) -> str:
        """The value, unfolded; octets that are not UTF-8 are replaced."""
        return b" ".join(self.octets.partition(b":")[2].split()).decode("utf-8", "replace")


def starts_with_field(content: bytes) -> bool:
    """True when content begins with a header field; else all of it is body."""
    return _FIELD.match(content) is not None


def read_fields(section: bytes) -> Iterator[Field]:
    """The fields of a header section; lines that are no field are passed over."""
    for found in _FIELD.finditer(section):
        yield Field(found.group(1).lower(), found.group(0))


def count_received(section: bytes) -> int:
    """How many hosts the message has passed (RFC 5321 section 6.3)."""
    return len(re.findall(rb"^received[ \t]*:", section, re.IGNORECASE | re.MULTILINE))


def message_id_of(fields: Iterable[Field]) -> str:
    """The Message-ID without its angle brackets; empty when there is none."""
    for field in fields:
        if field.name == b"message-id":
            return field.text.strip("<> ")[:255]
    return ""


def subject_of(fields: Iterable[Field]) -> str:
    """The subject as people read it, encoded words decoded (RFC 2047); empty when there is none."""
    for field in fields:
        if field.name == b"subject":
            return _decoded(field.text) if "=?" in field.text else field.text
    return ""


def _decoded(text: str) -> str:
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):  # an unknown charset, octets that are none of it
        return text


def subject_hash(subject: str) -> str:
    """What a message is found by when somebody knows its subject; empty for none.

    Case, blanks and the marks of replies and forwards in front do not matter. The subject itself is kept nowhere: a
    hash tells nothing to who does not know what to look for.
    """
    plain = _REPLY_MARKS.sub("", " ".join(subject.split()).casefold())
    return sha256(plain.encode("utf-8", "replace")).hexdigest()[:24] if plain else ""


def mailboxes_of(field: Field) -> list[Address]:
    """The addresses of a From or Sender field.

    Raises:
        HeaderError: one of them cannot be read.
    """
    name = field.name.decode().title()
    simple = _SIMPLE_MAILBOX.match(field.text)
    texts = [simple.group(1) or simple.group(2)] if simple else [pair[1] for pair in getaddresses([field.text])]
    if not texts:
        raise HeaderError(f"the {name} field names nobody")
    try:
        return [parse_address(text) for text in texts]
    except AddressError as error:
        raise HeaderError(f"the {name} field cannot be read: {error}") from None


def complete_submission(section: bytes, *, sender: Address, date: str, message_id: str) -> tuple[bytes, list[Address]]:
    """What a submission agent mends (RFC 6409 section 8): missing Date, Message-ID and From are added, Bcc taken out.

    Args:
        section: all fields, without the empty line.
        sender: the address that a missing From gets.
        date: an RFC 5322 date-time for a missing Date.
        message_id: the value for a missing Message-ID, with angle brackets.

    Returns:
        The mended section and the addresses of From and Sender, for the caller to judge.

    Raises:
        HeaderError: more than one From, Sender, Date or Message-ID, or an unreadable From.
    """
    fields = list(read_fields(section))
    names = [field.name for field in fields]
    for name in (b"from", b"sender", b"date", b"message-id"):
        if names.count(name) > 1:
            raise HeaderError(f"the message has more than one {name.decode().title()} field; send it with one")
    authors = [address for field in fields if field.name in (b"from", b"sender") for address in mailboxes_of(field)]
    added = b""
    if b"from" not in names:
        added += b"From: %s\r\n" % str(sender).encode()
        authors.append(sender)
    if b"date" not in names:
        added += b"Date: %s\r\n" % date.encode()
    if b"message-id" not in names:
        added += b"Message-ID: %s\r\n" % message_id.encode()
    return added + _FIELD.sub(_strip_field, section), authors


def _strip_field(found: re.Match[bytes]) -> bytes:
    return b"" if found.group(1).lower() in _STRIPPED_AT_SUBMISSION else found.group(0)
