"""Content encoded down, so that it passes a host without 8BITMIME, or without room for its lines (RFC 6152 section 3).

Text becomes quoted-printable, all else base64, and each part still decodes to the same octets (RFC 2045 section 6).
Header fields stay as they are but for Content-Transfer-Encoding. Uses the standard library's `email` to read header
fields, which is slow on hostile input: run it in a thread. Neighbours: `delivery/preparation` decides when; `scan`
finds out.
"""

import base64
import binascii
import email
import re
from email.message import Message

from mailstack.mail.scan import MAX_LINE_OCTETS
from mailstack.mail.status import Status

MAX_DEPTH = 20
_FIELD = re.compile(rb"^content-transfer-encoding[ \t]*:.*(?:\r\n[ \t].*)*(?:\r\n|\Z)", re.IGNORECASE | re.MULTILINE)
_IDENTITY = ("", "7bit", "8bit", "binary")


class DowngradeError(Exception):
    """The content cannot be encoded down; says why, and with which status it fails."""

    def __init__(self, status: Status, why: str) -> None:
        super().__init__(why)
        self.status = status


def downgrade(content: bytes) -> bytes:
    """The content in 7-bit octets and lines of at most 998.

    Raises:
        DowngradeError: 8-bit header fields, a signed or encrypted multipart, or malformed MIME.
    """
    return _convert(content, 0, is_message=True)


def _convert(entity: bytes, depth: int, *, is_message: bool) -> bytes:
    if _is_plain(entity):
        return entity
    if depth > MAX_DEPTH:
        raise DowngradeError(Status.CONVERSION_FAILED, "the parts of the content are nested too deep")
    header, body = _split(entity)
    if not header.isascii():
        raise DowngradeError(Status.UTF8_UNSUPPORTED, "header fields have characters beyond ASCII")
    fields = email.message_from_bytes(header)
    kind = fields.get_content_type()
    encoding = str(fields.get("Content-Transfer-Encoding", "")).strip().lower()
    if _is_plain(body):
        return entity  # only the header has a long line, which nobody can mend
    if kind.startswith("multipart/") or kind == "message/rfc822":
        return _convert_composite(header, body, fields, encoding, depth)
    if kind.startswith("message/") and not kind.startswith("message/global"):
        raise DowngradeError(Status.CONVERSION_FAILED, f"a part of type {kind} may not be encoded")
    return _convert_leaf(header, body, fields, encoding, is_message=is_message)


def _is_plain(octets: bytes) -> bool:
    return octets.isascii() and max(map(len, octets.split(b"\r\n"))) <= MAX_LINE_OCTETS


def _split(entity: bytes) -> tuple[bytes, bytes]:
    """Header section, with the CRLF of its last field, and body."""
    if entity.startswith(b"\r\n"):
        return b"", entity[2:]
    header, _, body = entity.partition(b"\r\n\r\n")
    return header + b"\r\n", body


def _convert_composite(header: bytes, body: bytes, fields: Message, encoding: str, depth: int) -> bytes:
    kind = fields.get_content_type()
    if kind in ("multipart/signed", "multipart/encrypted"):
        raise DowngradeError(Status.CONVERSION_FAILED, f"a {kind} part may not be changed")
    if encoding not in _IDENTITY:
        raise DowngradeError(Status.CONVERSION_FAILED, f"a {kind} part is encoded as {encoding[:40]}")
    if kind == "message/rfc822":
        new_body = _convert(body, depth + 1, is_message=True)
    else:
        new_body = _convert_parts(body, fields.get_boundary(), depth)
    return (_with_encoding(header, b"7bit") if encoding else header) + b"\r\n" + new_body


def _convert_parts(body: bytes, boundary: str | None, depth: int) -> bytes:
    """Each part between the delimiter lines (RFC 2046 section 5.1.1); the rest is only for old readers."""
    if not boundary or not boundary.isascii():
        raise DowngradeError(Status.CONVERSION_FAILED, "a multipart has no boundary")
    delimiter = re.compile(rb"(?:\A|\r\n)--" + re.escape(boundary.encode()) + rb"(?:--)?[ \t]*(?:\r\n|\Z)")
    out: list[bytes] = []
    position = 0
    is_part = False
    while found := delimiter.search(body, position):
        out += [_between(body[position : found.start()], depth, is_part), found.group()]
        is_part = not found.group().strip().endswith(boundary.encode() + b"--")
        # the CRLF at the end of a delimiter line may at once begin the next one
        position = found.end()
        if body.startswith(b"--" + boundary.encode(), position):
            position -= 2
            out[-1] = out[-1][:-2]
    if not out:
        raise DowngradeError(Status.CONVERSION_FAILED, "a multipart has no parts")
    return b"".join([*out, _between(body[position:], depth, is_part)])


def _between(octets: bytes, depth: int, is_part: bool) -> bytes:
    if is_part:
        return _convert(octets, depth + 1, is_message=False)
    return octets if _is_plain(octets) else b""


def _convert_leaf(header: bytes, body: bytes, fields: Message, encoding: str, *, is_message: bool) -> bytes:
    if encoding in ("base64", "quoted-printable"):
        # broken already: it says that it is encoded and still has such octets or lines
        raw = _decode(body, encoding)
    elif encoding in _IDENTITY:
        raw = body
    else:
        raise DowngradeError(Status.CONVERSION_FAILED, f"the encoding {encoding[:40]} is not known")
    if is_message and "MIME-Version" not in fields:
        header += b"MIME-Version: 1.0\r\n"
    if "Content-Type" not in fields and not raw.isascii():
        header += b"Content-Type: text/plain; charset=" + _guess_charset(raw) + b"\r\n"
    if fields.get_content_maintype() == "text" and encoding != "base64":
        return _with_encoding(header, b"quoted-printable") + b"\r\n" + encode_quoted_printable(raw)
    lines = base64.encodebytes(raw).replace(b"\n", b"\r\n")
    return _with_encoding(header, b"base64") + b"\r\n" + lines


def _decode(body: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    try:
        return binascii.a2b_base64(body)
    except binascii.Error as error:
        raise DowngradeError(Status.CONVERSION_FAILED, f"a part is not the base64 that it says: {error}") from None


def _guess_charset(raw: bytes) -> bytes:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return b"unknown-8bit"  # RFC 1428 section 3
    return b"utf-8"


def _with_encoding(header: bytes, encoding: bytes) -> bytes:
    line = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    first = _FIELD.search(header)
    if not first:
        return header + line
    return header[: first.start()] + line + _FIELD.sub(b"", header[first.end() :])


def encode_quoted_printable(text: bytes) -> bytes:
    """CRLF text in quoted-printable, line by line: CRLFs stay, a bare CR or LF is encoded (RFC 2045 section 6.7)."""
    lines = (binascii.b2a_qp(line, istext=False).replace(b"\n", b"\r\n") for line in text.split(b"\r\n"))
    return b"\r\n".join(lines)
