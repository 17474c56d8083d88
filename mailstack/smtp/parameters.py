"""The parameters of MAIL and RCPT (RFC 1870, 3461, 4954, 6152, 6531; their form RFC 5321 section 4.1.2).

Neighbours: `command` reads the paths before them; `client_commands` writes the same parameters.
"""

import re
from collections.abc import Callable

from mailstack.mail.address import Address, AddressError, parse_address
from mailstack.mail.envelope import Body, Envelope, Notify, Recipient, Ret
from mailstack.mail.reply import Reply
from mailstack.smtp.replies import bad_parameter, unknown_parameter

_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\0-\x20\x7f]+))?\Z")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*\Z")
_XTEXT_PAIR = re.compile(r"\+([0-9A-F]{2})")
_PRINTABLE = re.compile(r"[ -~]+\Z")
_UNITEXT = re.compile(r"(?:[!-*,-<>-\[\]-~]|[^\0-\x9f]|\\x\{[0-9A-F]{2,6}\})+\Z")
_UNITEXT_POINT = re.compile(r"\\x\{([0-9A-F]+)\}")
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f\ud800-\udfff]")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9-]+\Z")
_SIZE = re.compile(r"[0-9]{1,20}\Z")
_NOTIFY_WORDS = {"SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}


def read_mail_parameters(text: str, envelope: Envelope, *, offers_auth: bool) -> str | Reply | None:
    """Set the envelope's fields from MAIL's parameters; gives the decoded AUTH=, or the refusal."""
    parameters = _split(text)
    if isinstance(parameters, Reply):
        return parameters
    auth_param = None
    for keyword, value in parameters.items():
        if keyword == "AUTH" and offers_auth:
            auth_param = _read_auth(value)
            if auth_param is None:
                return bad_parameter("AUTH takes a mailbox in xtext, or <>")
        elif (setter := _MAIL_SETTERS.get(keyword)) is None:
            return unknown_parameter(keyword)
        elif refusal := setter(envelope, value):
            return refusal
    return auth_param


def read_rcpt_parameters(text: str, address: Address) -> Recipient | Reply:
    """The recipient with RCPT's parameters, or the refusal (RFC 3461 sections 4.1 and 4.2)."""
    parameters = _split(text)
    if isinstance(parameters, Reply):
        return parameters
    notify: Notify | None = None
    orcpt: str | None = None
    for keyword, value in parameters.items():
        if keyword == "NOTIFY":
            notify = _read_notify(value)
            if notify is None:
                return bad_parameter("NOTIFY takes NEVER, or SUCCESS, FAILURE and DELAY with commas between")
        elif keyword == "ORCPT":
            orcpt = _read_orcpt(value)
            if orcpt is None:
                return bad_parameter("ORCPT takes an address type, a semicolon, and an address in xtext")
        else:
            return unknown_parameter(keyword)
    return Recipient(address, notify, orcpt)


def decode_xtext(text: str) -> str | None:
    """The text that xtext stands for, printable ASCII; None when it is anything else (RFC 3461 section 4)."""
    if not _XTEXT.match(text):
        return None
    decoded = _XTEXT_PAIR.sub(lambda pair: chr(int(pair[1], 16)), text)
    return decoded if _PRINTABLE.match(decoded) else None


def _split(text: str) -> dict[str, str | None] | Reply:
    found: dict[str, str | None] = {}
    for word in text.split():
        parameter = _PARAMETER.match(word)
        if not parameter:
            return bad_parameter("a parameter has the form KEYWORD or KEYWORD=value")
        keyword = parameter[1].upper()
        if keyword in found:
            return bad_parameter(f"{keyword} stands there twice")
        found[keyword] = parameter[2]
    return found


def _set_size(envelope: Envelope, value: str | None) -> Reply | None:
    if not value or not _SIZE.match(value):
        return bad_parameter("SIZE takes a number of octets")
    envelope.size_octets = int(value)
    return None


def _set_body(envelope: Envelope, value: str | None) -> Reply | None:
    match (value or "").upper():
        case "7BIT":
            envelope.body = Body.SEVEN_BIT
        case "8BITMIME":
            envelope.body = Body.EIGHT_BIT
        case _:
            return bad_parameter("BODY takes 7BIT or 8BITMIME")
    return None


def _set_smtputf8(envelope: Envelope, value: str | None) -> Reply | None:
    if value is not None:
        return bad_parameter("SMTPUTF8 takes no value")
    envelope.smtputf8 = True
    return None


def _set_ret(envelope: Envelope, value: str | None) -> Reply | None:
    match (value or "").upper():
        case "FULL":
            envelope.ret = Ret.FULL
        case "HDRS":
            envelope.ret = Ret.HEADERS
        case _:
            return bad_parameter("RET takes FULL or HDRS")
    return None


def _set_envid(envelope: Envelope, value: str | None) -> Reply | None:
    envid = decode_xtext(value) if value and len(value) <= 100 else None
    if envid is None:
        return bad_parameter("ENVID takes up to 100 characters of xtext")
    envelope.envid = envid
    return None


_MAIL_SETTERS: dict[str, Callable[[Envelope, str | None], Reply | None]] = {
    "SIZE": _set_size,
    "BODY": _set_body,
    "SMTPUTF8": _set_smtputf8,
    "RET": _set_ret,
    "ENVID": _set_envid,
}


def _read_auth(value: str | None) -> str | None:
    mailbox = decode_xtext(value) if value else None
    if mailbox is None or mailbox == "<>":
        return mailbox
    try:
        parse_address(mailbox)
    except AddressError:
        return None
    return mailbox


def _read_notify(value: str | None) -> Notify | None:
    words = (value or "").upper().split(",")
    if words == ["NEVER"]:
        return Notify.NEVER
    notify = Notify.NEVER
    for word in words:
        if word not in _NOTIFY_WORDS or _NOTIFY_WORDS[word] in notify:
            return None
        notify |= _NOTIFY_WORDS[word]
    return notify


def _read_orcpt(value: str | None) -> str | None:
    kind, semicolon, text = (value or "").partition(";")
    if not semicolon or not _ADDRESS_TYPE.match(kind) or len(value or "") > 500:
        return None
    address = _decode_unitext(text) if kind.lower() == "utf-8" else decode_xtext(text)
    return f"{kind};{address}" if address else None


def _decode_unitext(text: str) -> str | None:
    """utf-8-addr-xtext or utf-8-addr-unitext (RFC 6533 section 3)."""
    if not _UNITEXT.match(text):
        return None
    try:
        decoded = _UNITEXT_POINT.sub(lambda point: chr(int(point[1], 16)), text)
    except ValueError:
        return None
    return None if _CONTROL.search(decoded) else decoded
