"""What the acts share: reading what was typed, turning a lost race into a refusal, searching.

Neighbours: `actor` says who acts and records it; every noun's file uses both.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Text, cast, func
from sqlalchemy.exc import IntegrityError

from mailstack.mail.address import Address, AddressError, parse_address
from mailstack.mail.domain import DomainError, domain_for_people, parse_domain
from mailstack.management.actor import Refused
from mailstack.store.passwords import PasswordError, PasswordHashes, check_password, hash_password
from mailstack.store.schema import micros

PAGE = 50
MIN_PASSWORD = 8


def now_micros() -> int:
    """The present, as the tables keep it."""
    return micros(datetime.now(UTC))


def check_new_password(password: str) -> None:
    """See that a new password is one.

    Raises:
        Refused: it is too short, too long, or cannot be typed in a mail client.
    """
    if len(password) < MIN_PASSWORD:
        raise Refused(f"the password has {len(password)} characters; choose one of {MIN_PASSWORD} or more")
    try:
        check_password(password)
    except PasswordError as error:
        raise Refused(f"{error}; choose another") from None


def make_hashes(password: str) -> PasswordHashes:
    """Check and hash a new password. Slow on purpose: not in the reactor's thread, not inside a transaction.

    Raises:
        Refused: as `check_new_password`.
    """
    check_new_password(password)
    return hash_password(password)


@contextmanager
def taken_means(refusal: str) -> Iterator[None]:
    """Turn a broken unique constraint into a refusal: another transaction was first."""
    try:
        yield
    except IntegrityError:
        raise Refused(refusal) from None


def read_domain(text: str) -> str:
    """A domain as an administrator typed it, in A-label form; `Refused` when it is none."""
    try:
        domain = parse_domain(text)
    except DomainError as error:
        raise Refused(f'"{text}" is not a domain ({error}); write it like example.org') from None
    if "." not in domain or domain.startswith("["):
        raise Refused(f'"{text}" is not a full domain name; write it like example.org')
    return domain


def read_address(text: str) -> Address:
    """An address as an administrator typed it; `Refused` when it is none, or its domain is an address literal."""
    try:
        address = parse_address(text)
    except AddressError as error:
        raise Refused(f"{error}; write it like name@example.org") from None
    read_domain(address.domain)
    return address


def for_people(key: str) -> str:
    """A key of ours, `local@domain` or `@domain`, with its domain in U-label form."""
    local, _, domain = key.rpartition("@")
    return f"{local}@{domain_for_people(domain)}"


def contains(
    column: ColumnElement[str], search: str, *, from_start: bool = False, to_end: bool = False
) -> ColumnElement[bool]:
    """The condition that a text column contains what somebody searches for, in any case; at its start, at its end."""
    escaped = search.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    pattern = f"{'' if from_start else '%'}{escaped}{'' if to_end else '%'}"
    return func.lower(cast(column, Text)).like(pattern, escape="\\")
