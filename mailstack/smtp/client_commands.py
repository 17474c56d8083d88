"""MAIL and RCPT as we send them, with the parameters that the server offers (RFC 5321 section 4.1.1, RFC 3461).

Neighbours: `client_transaction` puts them in order; `client_extensions` says what is offered.
"""

import re

from mailstack.mail.address import NULL_SENDER, Address
from mailstack.mail.envelope import Body, Envelope, Notify, Recipient
from mailstack.smtp.client_extensions import Extensions

_NOT_XCHAR = re.compile(r"[^!-*,-<>-~]")
_NOT_QCHAR = re.compile(r"[^!-*,-<>-\[\]-~]")
_NOTIFY_WORDS = ((Notify.SUCCESS, "SUCCESS"), (Notify.FAILURE, "FAILURE"), (Notify.DELAY, "DELAY"))


def mail_command(envelope: Envelope, extensions: Extensions, *, size_octets: int, body: Body, smtputf8: bool) -> bytes:
    """`MAIL FROM:<…>` with its parameters, CRLF included.

    Args:
        envelope: the reverse-path, RET and ENVID.
        extensions: what the server offers; nothing else is used.
        size_octets: the content's size as it will be sent.
        body: what the content is; said only where it matters.
        smtputf8: whether the transaction needs SMTPUTF8 (RFC 6531 section 3.4).
    """
    parts = [f"MAIL FROM:{_path(envelope.reverse_path)}"]
    if extensions.size:
        parts.append(f"SIZE={size_octets}")
    if extensions.eight_bit and body is not Body.SEVEN_BIT:
        parts.append(f"BODY={body.value}")
    if smtputf8:
        parts.append("SMTPUTF8")
    if extensions.dsn and envelope.ret:
        parts.append(f"RET={envelope.ret.value}")
    if extensions.dsn and envelope.envid and envelope.envid.isascii():
        parts.append(f"ENVID={xtext(envelope.envid)}")
    return (" ".join(parts) + "\r\n").encode()


def rcpt_command(recipient: Recipient, extensions: Extensions) -> bytes:
    """`RCPT TO:<…>`, with NOTIFY and ORCPT where DSN is offered, CRLF included."""
    parts = [f"RCPT TO:{_path(recipient.address)}"]
    if extensions.dsn and recipient.notify is not None:
        words = [word for flag, word in _NOTIFY_WORDS if flag in recipient.notify]
        parts.append(f"NOTIFY={','.join(words) or 'NEVER'}")
    if extensions.dsn and recipient.orcpt:
        kind, _, address = recipient.orcpt.partition(";")
        parts.append(f"ORCPT={kind};{xtext(address)}")
    return (" ".join(parts) + "\r\n").encode()


def xtext(text: str) -> str:
    """The text in xtext (RFC 3461 section 4); beyond ASCII as utf-8-addr-xtext (RFC 6533 section 3)."""
    if text.isascii():
        return _NOT_XCHAR.sub(lambda found: f"+{ord(found.group()):02X}", text)
    return _NOT_QCHAR.sub(lambda found: f"\\x{{{ord(found.group()):X}}}", text)


def _path(address: Address) -> str:
    return "<>" if address == NULL_SENDER else f"<{address}>"
