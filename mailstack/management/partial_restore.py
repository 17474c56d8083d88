"""One account, or one domain with its accounts and aliases, comes back from a backup while the host runs.

What is gone is made again; what is there is left as it is, so that it can be done twice, or again after it was
interrupted: mail is known by account and unique-id. Neighbours: `store/picking` reads the backup; `removal` is what it
undoes.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection, insert, select

from mailstack.mail.address import Address
from mailstack.management import accounts, domains
from mailstack.management.actor import Actor, Refused, record, require_all_domains
from mailstack.management.acts import now_micros, read_address, read_domain
from mailstack.store.acceptance import insert_entries, next_content_id
from mailstack.store.content import ContentStore, StagedContent
from mailstack.store.database import Database
from mailstack.store.directory import bump_version
from mailstack.store.picking import OF_ACCOUNT, Picked, Row, Scope, pick, picked_contents
from mailstack.store.schema import account, alias, alias_target, content, domain, limit_rule, mailbox, maildrop_entry

BATCH_CONTENTS = 200
BATCH_OCTETS = 4 << 20
"""What is put back in one commit; mail flow gets its turn between two."""


@dataclass(slots=True)
class Restored:
    """What was, or would be, put back."""

    made_at: str
    """When the backup was made."""
    domains: int = 0
    accounts: int = 0
    aliases: int = 0
    mails: int = 0
    were_there: int = 0
    """Mails that the host has, left as they are."""


@dataclass(slots=True)
class _Plan:
    told: Restored
    missing: dict[int, list[Row]]
    """Entries by the number of their content in the backup, each for the account of this host."""


class _Undone(Exception):
    """Takes a plan out of the transaction that it ends."""

    def __init__(self, plan: _Plan) -> None:
        super().__init__()
        self.plan = plan


def account_scope(address: str) -> Scope:
    """The scope of an account as it was typed; `Refused` when it is no address."""
    wanted = read_address(address)
    return Scope(wanted.domain, wanted.local_key)


def domain_scope(name: str) -> Scope:
    """The scope of a domain as it was typed; `Refused` when it is none."""
    return Scope(read_domain(name))


def restore_part(
    database: Database,
    contents: Path,
    actor: Actor,
    source: Path,
    scope: Scope,
    *,
    revision: str,
    inline_octets: int,
    dry_run: bool = False,
) -> Restored:
    """Put back what belongs to a scope. Blocks, and reads the backup twice; the server may run.

    Args:
        database: at `revision`, as the backup must be.
        contents: the content folder.
        actor: a superadministrator.
        source: the backup file.
        scope: an account or a domain.
        revision: the version of the tables.
        inline_octets: content up to this size goes into the database.
        dry_run: change nothing, only say what would be done.

    Raises:
        Refused: the backup does not have it, or an address is an alias now.
        BackupError: the backup is damaged or of another version; nothing was changed.
        OSError: the backup cannot be read, or the disk does not take the content.
        StoreTrouble: the database fails now. Then, and on OSError, what was put back so far stays.
    """
    require_all_domains(actor, "backups are restored")
    picked = pick(source, revision, scope)
    if picked.domain is None or (scope.local_part is not None and not picked.accounts):
        raise Refused(f"{scope.key} is not in the backup {source}; take another one, or another name")
    try:
        plan = database.write_now(lambda connection: _begin(connection, actor, scope, picked, dry_run))
    except _Undone as undone:
        return undone.plan.told
    plan.told.mails = _put_mail(database, ContentStore(contents, inline_octets), source, plan)
    return plan.told


# --- domain, accounts, aliases ----------------------------------------------------------------------------------------


def _begin(connection: Connection, actor: Actor, scope: Scope, picked: Picked, dry_run: bool) -> _Plan:
    told = Restored(picked.made_at)
    numbers = _make_accounts(connection, actor, scope, picked, told)
    missing = _missing(connection, picked, numbers)
    told.mails = sum(map(len, missing.values()))
    told.were_there = len(picked.entries) - told.mails
    plan = _Plan(told, missing)
    if dry_run:
        raise _Undone(plan)
    made = f"accounts={told.accounts} aliases={told.aliases} messages={told.mails} made_at={told.made_at}"
    record(connection, actor, "backup.restore", scope.key, made)
    if told.domains or told.accounts or told.aliases:
        bump_version(connection)
    return plan


def _make_accounts(
    connection: Connection, actor: Actor, scope: Scope, picked: Picked, told: Restored
) -> dict[int, int]:
    """Make what is gone but the mail; this host's account numbers by those in the backup."""
    if connection.scalar(select(domain.c.id).where(domain.c.name == scope.domain)) is None:
        connection.execute(insert(domain).values(_without_id(picked.domain or {})))
        told.domains = 1
    domain_id, _ = domains.lock(connection, actor, scope.domain, local=bool(picked.accounts))
    at = account.c.domain_id == domain_id
    known = {row.local_part: row.id for row in connection.execute(select(account.c.local_part, account.c.id).where(at))}
    made: dict[int, int] = {}
    for number, row in picked.accounts.items():
        if row["local_part"] not in known:
            made[number] = _make_account(connection, domain_id, Address(row["local_part"], scope.domain), row)
    for table in OF_ACCOUNT:
        rows = [row for row in picked.of_accounts[table.name] if row["account_id"] in made]
        if rows:
            values = [_without_id(row) | {"account_id": made[row["account_id"]]} for row in rows]
            connection.execute(insert(table), values)
    told.accounts = len(made)
    told.aliases = _make_aliases(connection, domain_id, picked)
    keys = {f"{picked.accounts[number]['local_part']}@{scope.domain}" for number in made}
    _make_limits(connection, [row for row in picked.limits if told.domains or row["scope"] in keys])
    return {number: made.get(number) or known[row["local_part"]] for number, row in picked.accounts.items()}


def _make_account(connection: Connection, domain_id: int, address: Address, row: Row) -> int:
    accounts.check_free(connection, domain_id, address)
    done = connection.execute(insert(account).values(_without_id(row) | {"domain_id": domain_id}))
    number: int = done.inserted_primary_key[0]  # type: ignore[index]  # always given for a single row
    connection.execute(insert(mailbox).values(account_id=number))
    return number


def _make_aliases(connection: Connection, domain_id: int, picked: Picked) -> int:
    """Make the aliases whose name nobody has; their number."""
    taken = {
        name
        for table in (account, alias)
        for name in connection.scalars(select(table.c.local_part).where(table.c.domain_id == domain_id))
    }
    made = {}
    for number, row in picked.aliases.items():
        if row["local_part"] not in taken:
            done = connection.execute(insert(alias).values(_without_id(row) | {"domain_id": domain_id}))
            made[number] = done.inserted_primary_key[0]  # type: ignore[index]
    targets = [row | {"alias_id": made[row["alias_id"]]} for row in picked.alias_targets if row["alias_id"] in made]
    if targets:
        connection.execute(insert(alias_target), targets)
    return len(made)


def _make_limits(connection: Connection, rows: list[Row]) -> None:
    known = {(row.scope, row.per) for row in connection.execute(select(limit_rule.c.scope, limit_rule.c.per))}
    missing = [_without_id(row) for row in rows if (row["scope"], row["per"]) not in known]
    if missing:
        connection.execute(insert(limit_rule), missing)


def _without_id(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "id"}


# --- mail -------------------------------------------------------------------------------------------------------------


def _missing(connection: Connection, picked: Picked, numbers: dict[int, int]) -> dict[int, list[Row]]:
    entry = maildrop_entry.c
    known = {
        number: set(connection.scalars(select(entry.unique_id).where(entry.account_id == number)))
        for number in numbers.values()
    }
    missing: dict[int, list[Row]] = {}
    for row in picked.entries:
        number = numbers[row["account_id"]]
        if row["unique_id"] not in known[number]:
            missing.setdefault(row["content_id"], []).append(_without_id(row) | {"account_id": number})
    return missing


def _put_mail(database: Database, contents: ContentStore, source: Path, plan: _Plan) -> int:
    """Put the missing entries back, some in a commit; how many."""
    put = 0
    batch: list[tuple[StagedContent, list[Row]]] = []
    try:
        for number, member in picked_contents(source, set(plan.missing)):
            batch.append((contents.stage_now(member.blocks()), plan.missing[number]))
            if len(batch) == BATCH_CONTENTS or sum(len(one.body or b"") for one, _ in batch) > BATCH_OCTETS:
                put += _commit(database, contents, batch)
                batch = []
        put += _commit(database, contents, batch)
    except BaseException:
        _remove_files(contents, [staged for staged, _ in batch])
        raise
    return put


def _commit(database: Database, contents: ContentStore, batch: list[tuple[StagedContent, list[Row]]]) -> int:
    put, unneeded = database.write_now(lambda connection: _put_batch(connection, batch))
    _remove_files(contents, unneeded)
    return put


def _put_batch(connection: Connection, batch: list[tuple[StagedContent, list[Row]]]) -> tuple[int, list[StagedContent]]:
    """The number of entries put, and what nobody needed: the account went, or has the mail, meanwhile."""
    ids = sorted({row["account_id"] for _, rows in batch for row in rows})
    alive = set(connection.scalars(select(account.c.id).where(account.c.id.in_(ids)).with_for_update()))
    entry = maildrop_entry.c
    unique_ids = {row["unique_id"] for _, rows in batch for row in rows}
    there = select(entry.account_id, entry.unique_id).where(entry.account_id.in_(ids), entry.unique_id.in_(unique_ids))
    have = {(row.account_id, row.unique_id) for row in connection.execute(there)}
    entries: list[Row] = []
    unneeded = []
    for staged, rows in batch:
        needed = [r for r in rows if r["account_id"] in alive and (r["account_id"], r["unique_id"]) not in have]
        if not needed:
            unneeded.append(staged)
            continue
        number = next_content_id(now_micros())
        connection.execute(insert(content).values(id=number, **asdict(staged)))
        entries += [row | {"content_id": number} for row in needed]
    insert_entries(connection, entries)
    return len(entries), unneeded


def _remove_files(contents: ContentStore, staged: list[StagedContent]) -> None:
    contents.remove_files_now(one.file for one in staged)
