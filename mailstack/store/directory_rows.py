"""What hangs on domains and accounts, read for the directory: aliases, forwards, absences, sending limits.

Neighbours: `directory` makes the snapshot of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select
from twisted.logger import Logger

from mailstack.mail.address import Address, AddressError, parse_address
from mailstack.policy.limits import Over, Per, Rule
from mailstack.store import schema

FOR_EVER = 2**62
"""The end of a vacation that has none."""
_log = Logger()


def load_forwards(connection: Connection) -> dict[int, tuple[Address, ...]]:
    """Where accounts' mail goes as well or instead, by the account's number."""
    table = schema.forward.c
    rows = connection.execute(select(table.account_id, table.address).order_by(table.account_id, table.address))
    return _by_owner(rows, "a forward")


def load_absences(connection: Connection) -> dict[int, tuple[int, int]]:
    """From when to when vacation replies are sent, in microseconds since 1970, by the account's number."""
    table = schema.vacation.c
    rows = connection.execute(select(table.account_id, table.starts_at, table.ends_at))
    return {
        account_id: (0 if starts_at is None else starts_at, FOR_EVER if ends_at is None else ends_at)
        for account_id, starts_at, ends_at in rows
    }


def load_aliases(connection: Connection, domain_names: Mapping[int, str]) -> dict[str, tuple[Address, ...]]:
    """The targets of each alias, by its `Address.key`; the names of domains are by their numbers."""
    alias, target = schema.alias, schema.alias_target
    rows = connection.execute(
        select(alias.c.local_part, alias.c.domain_id, target.c.address)
        .join_from(alias, target)
        .order_by(alias.c.id, target.c.address)
    )
    named = ((f"{local_part}@{domain_names[domain_id]}", text) for local_part, domain_id, text in rows)
    return _by_owner(named, "an alias target")


def _by_owner(rows: Iterable[Any], what: str) -> dict[Any, tuple[Address, ...]]:
    """The addresses of rows `owner, address`, by owner."""
    found: dict[Any, list[Address]] = {}
    for owner, text in rows:
        try:
            address = parse_address(text)
        except AddressError as error:  # nothing that management writes; the others must not suffer
            _log.error("{what} in the database is no address: {why}", what=what, why=str(error))
            continue
        found.setdefault(owner, []).append(address)
    return {owner: tuple(addresses) for owner, addresses in found.items()}


def load_rules(connection: Connection) -> list[Rule]:
    """All sending limits, oldest first."""
    rows = connection.execute(select(schema.limit_rule).order_by(schema.limit_rule.c.id))
    return [Rule(row.scope, Per(row.per), row.messages, row.recipients, Over(row.over), row.first_time) for row in rows]
