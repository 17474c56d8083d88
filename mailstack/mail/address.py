"""A mailbox address: a local part and a domain (RFC 5321 section 4.1.2, RFC 6531 section 3.3).

`parse_address` reads one as it stands in a command, a form or a config; `Address.key` is what two addresses are
compared by. Neighbours: `domain` for the right side; `smtp/command` for the paths around an address.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from unicodedata import normalize

from mailstack.mail.domain import DomainError, domain_for_people, parse_domain

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*\Z")
_DOT_STRING_UTF8 = re.compile(rf"(?:{_ATEXT}|[^\x00-\x9f])+(?:\.(?:{_ATEXT}|[^\x00-\x9f])+)*\Z")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|[^\x00-\x9f]|\\[ -~])*)"\Z')
MAX_LOCAL_OCTETS = 64
MAX_ADDRESS_OCTETS = 254


class AddressError(ValueError):
    """A text that is no address; the message says why, for a reply or a form."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address. `local` is unquoted and as it was given; `domain` is in A-label form, or empty for `<postmaster>`."""

    local: str
    domain: str

    def __str__(self) -> str:
        return _spell(self.local, self.domain)

    @property
    def local_key(self) -> str:
        """The form local parts are compared by: lower case, and composed (NFC, RFC 6532 section 3.1)."""
        return self.local.lower() if self.local.isascii() else normalize("NFC", self.local.lower())

    @property
    def key(self) -> str:
        """The form addresses are compared by: `local@domain`, both in lower case."""
        return f"{self.local_key}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """True when the local part has characters that only SMTPUTF8 carries (the domain has its A-label form)."""
        return not self.local.isascii()

    @property
    def for_people(self) -> str:
        """The address with its domain in U-label form."""
        return str(replace(self, domain=domain_for_people(self.domain)))

    def without_tag(self) -> "Address":
        """The address of `user+tag@domain` without its tag: `user@domain`."""
        base, plus, _ = self.local.partition("+")
        return Address(base, self.domain) if plus and base else self


NULL_SENDER = Address("", "")


def parse_address(text: str, *, allow_utf8: bool = True) -> Address:
    """Read `local@domain`.

    Args:
        text: the address without angle brackets; the local part may be a quoted string.
        allow_utf8: whether a local part beyond ASCII is taken (SMTPUTF8); the domain may always be a U-label.

    Raises:
        AddressError: it is not an address; the text says why.
    """
    local, at, domain = text.rpartition("@")
    if not at or not local:
        raise AddressError(f"{text[:80]!r} is not an address: it needs the form name@domain")
    local = _parse_local(local, allow_utf8)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_ADDRESS_OCTETS:
        raise AddressError(f"the address is longer than {MAX_ADDRESS_OCTETS} octets")
    try:
        return Address(local, parse_domain(domain))
    except DomainError as error:
        raise AddressError(str(error)) from None


def _parse_local(local: str, allow_utf8: bool) -> str:
    if _DOT_STRING.match(local):
        parsed = local
    elif not allow_utf8 and not local.isascii():
        raise AddressError("the local part has characters beyond ASCII, which need SMTPUTF8")
    elif _DOT_STRING_UTF8.match(local):
        parsed = local
    elif quoted := _QUOTED.match(local):
        parsed = re.sub(r"\\(.)", r"\1", quoted.group(1))
    else:
        raise AddressError(f"{local[:80]!r} is not a valid local part")
    if not parsed or len(parsed.encode("utf-8", "surrogatepass")) > MAX_LOCAL_OCTETS:
        raise AddressError(f"a local part has 1 to {MAX_LOCAL_OCTETS} octets")
    return parsed


@lru_cache(maxsize=4096)
def _spell(local: str, domain: str) -> str:
    if not local:
        return f"@{domain}" if domain else ""
    written = local if _DOT_STRING_UTF8.match(local) else _quote(local)
    return f"{written}@{domain}" if domain else written


def _quote(local: str) -> str:
    return '"' + re.sub(r'([\\"])', r"\\\1", local) + '"'
