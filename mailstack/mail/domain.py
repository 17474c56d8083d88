"""Domain names as mail knows them: one comparable form, and one form for people.

Inside the program a domain is always its A-label form in lower case, without a trailing dot (RFC 5890, 5321
section 2.3.5); `domain_for_people` gives the U-label form back. Neighbours: `address` uses both.
"""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import idna

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_LITERAL = re.compile(r"\[(?:IPv6:([0-9a-f:.]+)|([0-9.]+))\]\Z", re.IGNORECASE)


class DomainError(ValueError):
    """A text that is no domain name; the message says why, for a reply or a form."""


@lru_cache(maxsize=4096)
def parse_domain(text: str) -> str:
    """The A-label form of a domain name or an address literal.

    Args:
        text: a domain in A-label or U-label form, any case, a trailing dot allowed; or `[192.0.2.1]`.

    Raises:
        DomainError: too long, an empty or malformed label, or not valid IDNA 2008.
    """
    if text.startswith("["):
        if not _is_literal(text):
            raise DomainError(f"{text[:80]!r} is not an address literal")
        return text.lower()
    name = text.removesuffix(".")
    if not name.isascii():
        name = _encode(name)
    name = name.lower()
    if not name or len(name) > 255:
        raise DomainError("a domain has 1 to 255 characters")
    for label in name.split("."):
        if not _LABEL.match(label):
            raise DomainError(f"{label[:64]!r} is not a valid label of a domain")
    return name


def _is_literal(text: str) -> bool:
    found = _LITERAL.match(text)
    if not found:
        return False
    try:
        IPv6Address(found[1]) if found[1] else IPv4Address(found[2])
    except AddressValueError:
        return False
    return True


def _encode(name: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise DomainError(f"not a valid internationalised domain: {error}") from None


@lru_cache(maxsize=4096)
def domain_for_people(domain: str) -> str:
    """The U-label form of an A-label domain; the domain itself when it has none."""
    if "xn--" not in domain:
        return domain
    try:
        return idna.decode(domain)
    except idna.IDNAError:
        return domain
