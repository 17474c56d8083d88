"""Many accounts at once, from CSV: read, tried without a change, then made a few at a time.

The columns are `address`, `password` or `hash`, and `quota`; a first line with their names may put them in any order.
A hash is as another host keeps it (`store/imported_hashes`); it is made anew at the first log-in. A line that cannot be
used is told with its number and stops no other. Neighbours: `accounts.add` makes each one.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

from sqlalchemy import Connection

from mailstack.config_values import parse_size
from mailstack.management import accounts
from mailstack.management.actor import Actor, Refused
from mailstack.management.acts import check_new_password, make_hashes
from mailstack.store.database import Database
from mailstack.store.imported_hashes import HashError, read_hash
from mailstack.store.passwords import PasswordHashes

COLUMNS = ("address", "password", "hash", "quota")
WITHOUT_HEAD = ("address", "password", "quota")
MAX_LINES = 5000
AT_ONCE = 20
"""Accounts of one transaction."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One line: the account that it asks for, or why it cannot be read."""

    line: int
    address: str
    password: str = ""
    hash: str = ""
    quota_octets: int | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What became, or would become, of one line; without `trouble` the account is made."""

    line: int
    address: str
    trouble: str = ""


def read_wishes(text: str) -> list[Wish]:
    """The lines of a CSV file, empty ones left out; comma, semicolon and tab separate.

    Raises:
        Refused: it is no CSV, has a column that we do not know, or too many lines.
    """
    text = text.removeprefix("\ufeff")
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        rows = [(number, row) for number, row in _numbered(text, separator) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise Refused(f"that is no CSV ({error}); write lines like: ann@example.org,password,1G") from None
    if not rows:
        raise Refused("there is no line in it; write lines like: ann@example.org,password,1G")
    if len(rows) > MAX_LINES:
        raise Refused(f"{len(rows)} lines are too many at once; split them into files of {MAX_LINES}")
    columns: tuple[str, ...] = WITHOUT_HEAD
    if "@" not in rows[0][1][0]:
        columns = _read_head(rows.pop(0)[1])
    return [_read_wish(number, columns, row) for number, row in rows]


def _numbered(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    for row in reader:
        yield reader.line_num, row


def _read_head(cells: Sequence[str]) -> tuple[str, ...]:
    names = tuple(cell.strip().lower() for cell in cells)
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or "address" not in names or len(set(names)) < len(names):
        raise Refused(
            f'the first line is "{", ".join(names)[:80]}"; begin with an address, or with these names of columns: '
            + ", ".join(COLUMNS)
        )
    return names


def _read_wish(line: int, columns: Sequence[str], row: Sequence[str]) -> Wish:
    if len(row) > len(columns):
        return Wish(
            line,
            row[0].strip(),
            trouble=f"it has {len(row)} columns, not {len(columns)}; put cells with a comma in quotes",
        )
    told = dict(zip(columns, row, strict=False))
    address, quota = told.get("address", "").strip(), told.get("quota", "").strip()
    password, hashed = told.get("password", ""), told.get("hash", "").strip()
    try:
        size = parse_size(quota) if quota not in ("", "none") else None
    except ValueError as error:
        return Wish(line, address, trouble=f"quota: {error}")
    if bool(password) == bool(hashed):
        return Wish(line, address, trouble="give a password or a hash, one of them")
    try:
        return Wish(line, address, password, read_hash(hashed) if hashed else "", size)
    except HashError as error:
        return Wish(line, address, trouble=f"{error}; give a new password instead")


def try_out(connection: Connection, actor: Actor, wishes: Iterable[Wish]) -> list[Result]:
    """What `carry_out` would say, with nothing changed; the strength of a password is seen, its hash not made."""
    results = []
    seen: set[str] = set()
    for wish in wishes:
        trouble = wish.trouble
        if not trouble:
            try:
                key = accounts.check_new(connection, actor, wish.address, wish.quota_octets)
                if wish.password:
                    check_new_password(wish.password)
                trouble = "the address is in this file twice" if key in seen else ""
                seen.add(key)
            except Refused as refusal:
                trouble = str(refusal)
        results.append(Result(wish.line, wish.address, trouble))
    return results


def carry_out(database: Database, actor: Actor, wishes: Sequence[Wish]) -> Iterator[Result]:
    """Make the accounts, with a result for each line as it comes; what is made stays when somebody stops. Blocks."""
    for start in range(0, len(wishes), AT_ONCE):
        some = [(wish, *_prepare(wish)) for wish in wishes[start : start + AT_ONCE]]

        def add_all(connection: Connection, some: list[tuple[Wish, PasswordHashes | None, str]] = some) -> list[Result]:
            return [_add(connection, actor, *one) for one in some]

        yield from database.write_now(add_all)


def _prepare(wish: Wish) -> tuple[PasswordHashes | None, str]:
    """The hashes of a line, or its trouble; slow, so before the transaction."""
    if wish.trouble:
        return None, wish.trouble
    if wish.hash:
        return PasswordHashes(wish.hash, None), ""
    try:
        return make_hashes(wish.password), ""
    except Refused as refusal:
        return None, str(refusal)


def _add(connection: Connection, actor: Actor, wish: Wish, secret: PasswordHashes | None, trouble: str) -> Result:
    if secret is not None:
        try:
            with connection.begin_nested():
                accounts.add(connection, actor, wish.address, secret, wish.quota_octets)
        except Refused as refusal:
            trouble = str(refusal)
    return Result(wish.line, wish.address, trouble)
