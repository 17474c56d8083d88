"""Picks from a backup file what belongs to one account, or to one domain with its accounts and aliases.

Memory grows with the mails picked, some hundred octets each, not with their content. Neighbours: `archive` reads the
file; `management/partial_restore` puts it back.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailstack.store.archive import Member, read_members
from mailstack.store.restoring import open_backup, row_pages
from mailstack.store.schema import account, alias, alias_target, domain, limit_rule, mailbox, maildrop_entry
from mailstack.store.snapshot import TABLES

Row = dict[str, Any]
OF_ACCOUNT = tuple(
    table
    for table in TABLES
    if "account_id" in table.c and table.c.account_id.foreign_keys and table not in (mailbox, maildrop_entry)
)
"""What an account has beside its mail: credentials, forwards, second factors and the like."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What to pick: a domain (A-label), or one account of it."""

    domain: str
    local_part: str | None = None
    """`Address.local_key`; None = the whole domain."""

    @property
    def key(self) -> str:
        """The account's address, or the domain."""
        return self.domain if self.local_part is None else f"{self.local_part}@{self.domain}"


@dataclass(slots=True)
class Picked:
    """Rows of a backup, with the numbers they had on the host that was backed up."""

    made_at: str
    domain: Row | None = None
    accounts: dict[int, Row] = field(default_factory=dict)
    of_accounts: dict[str, list[Row]] = field(default_factory=dict)
    """By table, of `OF_ACCOUNT`."""
    aliases: dict[int, Row] = field(default_factory=dict)
    alias_targets: list[Row] = field(default_factory=list)
    limits: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)
    """Of maildrops."""


def pick(source: Path, revision: str, scope: Scope) -> Picked:
    """Read a backup to its end, and give what belongs to the scope. Raises as `archive.read_members`."""
    members = read_members(source)
    picked = Picked(open_backup(members, source, revision)["made_at"])
    takers = _takers(picked, scope)
    tables = {f"rows/{table.name}": table for table in TABLES}
    for member in members:
        if member.name in takers:
            take = takers[member.name]
            for rows in row_pages(tables[member.name], member):
                for row in rows:
                    take(row)
    return picked


def picked_contents(source: Path, numbers: set[int]) -> Iterator[tuple[int, Member]]:
    """The contents of these numbers, in the backup's order. Raises as `archive.read_members`."""
    for member in read_members(source):
        kind, _, name = member.name.partition("/")
        if kind == "content" and int(name) in numbers:
            yield int(name), member


def _takers(picked: Picked, scope: Scope) -> dict[str, Callable[[Row], None]]:
    """Who takes the rows of a table; a table comes after those it refers to."""

    def of_domain(row: Row) -> bool:
        return picked.domain is not None and row["domain_id"] == picked.domain["id"]

    def take_domain(row: Row) -> None:
        if row["name"] == scope.domain:
            picked.domain = row

    def take_account(row: Row) -> None:
        if of_domain(row) and scope.local_part in (None, row["local_part"]):
            picked.accounts[row["id"]] = row

    def take_alias(row: Row) -> None:
        if of_domain(row) and scope.local_part is None:
            picked.aliases[row["id"]] = row

    def take_target(row: Row) -> None:
        if row["alias_id"] in picked.aliases:
            picked.alias_targets.append(row)

    def take_limit(row: Row) -> None:
        if row["scope"] == scope.key or (scope.local_part is None and row["scope"].endswith(f"@{scope.domain}")):
            picked.limits.append(row)

    def into(rows: list[Row]) -> Callable[[Row], None]:
        return lambda row: rows.append(row) if row["account_id"] in picked.accounts else None

    takers = {
        domain: take_domain,
        account: take_account,
        alias: take_alias,
        alias_target: take_target,
        limit_rule: take_limit,
        maildrop_entry: into(picked.entries),
        **{table: into(picked.of_accounts.setdefault(table.name, [])) for table in OF_ACCOUNT},
    }
    return {f"rows/{table.name}": take for table, take in takers.items()}
