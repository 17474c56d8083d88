"""Accounts: who has a mailbox here and may send, with state, password and quota.

Hashing a password takes tens of milliseconds, so it is done before the transaction (`acts.make_hashes`). Neighbours:
`aliases` share the accounts' name space; `removal` is the end of an account; `store/passwords` checks what is set here.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, tuple_, update

from mailstack.mail.address import Address
from mailstack.mail.domain import domain_for_people
from mailstack.management import domains
from mailstack.management.actor import Actor, Refused, record, require_account
from mailstack.management.acts import PAGE, now_micros, read_address, read_domain, taken_means
from mailstack.management.domains import address_contains
from mailstack.store.directory import bump_version
from mailstack.store.passwords import PasswordHashes
from mailstack.store.schema import account, alias, credential, domain, from_micros, mailbox, panel_session


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as an administrator sees it; sizes in octets."""

    address: Address
    state: str
    quota_octets: int | None
    used_octets: int
    used_messages: int
    last_login_at: datetime | None
    created_at: datetime
    frozen_at: datetime | None = None
    frozen_why: str = ""
    """Why all it sends is held."""

    @property
    def key(self) -> tuple[str, str]:
        """Its place in the order of `find`."""
        return self.address.domain, self.address.local


def add(
    connection: Connection, actor: Actor, address: str, secret: PasswordHashes, quota_octets: int | None = None
) -> AccountView:
    """Make an account and its mailbox.

    Raises:
        Refused: no such local domain, or the address is an account or alias already.
    """
    wanted = read_address(address)
    domain_id, _ = domains.lock(connection, actor, wanted.domain, local=True)
    local = check_free(connection, domain_id, wanted)
    _check_quota(quota_octets)
    now = now_micros()
    with taken_means(f"{wanted.for_people} is an account already"):
        values = {"domain_id": domain_id, "local_part": local, "quota_octets": quota_octets, "created_at": now}
        done = connection.execute(insert(account).values(**values))
    account_id = done.inserted_primary_key[0]  # type: ignore[index]  # always given for a single row
    connection.execute(insert(mailbox).values(account_id=account_id))
    _set_credential(connection, account_id, secret, now)
    quota = "" if quota_octets is None else f"quota={quota_octets}"
    record(connection, actor, "account.add", f"{local}@{wanted.domain}", quota)
    bump_version(connection)
    return get(connection, actor, address)


def check_new(connection: Connection, actor: Actor, address: str, quota_octets: int | None = None) -> str:
    """The key of an account that `add` would make; `Refused` as there, with nothing changed."""
    wanted = read_address(address)
    domain_id, _ = domains.number_of(connection, actor, wanted.domain, local=True)
    check_free(connection, domain_id, wanted)
    _check_quota(quota_octets)
    return wanted.key


def change_password(connection: Connection, actor: Actor, address: str, secret: PasswordHashes) -> None:
    """Give an account a new password and end its panel sessions; `Refused` when there is no such account."""
    number, key = lock(connection, actor, address)
    replace_password(connection, actor, number, key, secret)


def replace_password(
    connection: Connection,
    actor: Actor,
    number: int,
    key: str,
    secret: PasswordHashes,
    *,
    session_kept: int | None = None,
) -> None:
    """Set the password of a locked account, and end its panel sessions but the one that asks for it."""
    _set_credential(connection, number, secret, now_micros())
    is_other = panel_session.c.id != (session_kept or 0)
    connection.execute(delete(panel_session).where(panel_session.c.account_id == number, is_other))
    record(connection, actor, "account.passwd", key)
    bump_version(connection)


def set_state(connection: Connection, actor: Actor, address: str, state: str) -> None:
    """Suspend an account (no log-in, no sending; it still receives) or resume it: `suspended` or `active`."""
    number, key = lock(connection, actor, address)
    connection.execute(update(account).where(account.c.id == number).values(state=state))
    record(connection, actor, "account.suspend" if state == "suspended" else "account.resume", key)
    bump_version(connection)


def set_quota(connection: Connection, actor: Actor, address: str, quota_octets: int | None) -> None:
    """Bound a mailbox in octets, or unbound it with None."""
    number, key = lock(connection, actor, address)
    _check_quota(quota_octets)
    connection.execute(update(account).where(account.c.id == number).values(quota_octets=quota_octets))
    record(connection, actor, "account.quota", key, "none" if quota_octets is None else str(quota_octets))
    bump_version(connection)


def get(connection: Connection, actor: Actor, address: str) -> AccountView:
    """One account, for its owner too; `Refused` when it is not there."""
    wanted = read_address(address)
    require_account(actor, wanted)
    row = connection.execute(
        _query().where(domain.c.name == wanted.domain, account.c.local_part == wanted.local_key)
    ).first()
    if row is None:
        raise Refused(_absent(wanted))
    return _view(row)


def find(
    connection: Connection,
    actor: Actor,
    *,
    domain_name: str | None = None,
    search: str = "",
    after: tuple[str, str] | None = None,
    limit: int | None = PAGE,
) -> list[AccountView]:
    """The actor's accounts by domain and local part, beyond the `key` of one; `search` is a part of the address."""
    query = _narrow(_query(), actor, domain_name, search).order_by(domain.c.name, account.c.local_part).limit(limit)
    if after is not None:
        query = query.where(tuple_(domain.c.name, account.c.local_part) > after)
    return [_view(row) for row in connection.execute(query)]


def count(connection: Connection, actor: Actor, *, domain_name: str | None = None, search: str = "") -> int:
    """How many accounts `find` would give in all."""
    query = select(func.count()).select_from(account.join(domain))
    return connection.scalar(_narrow(query, actor, domain_name, search)) or 0


def lock(connection: Connection, actor: Actor, address: str) -> tuple[int, str]:
    """The number and key of an account that is about to change; `Refused` when it is not there."""
    wanted = read_address(address)
    domains.lock(connection, actor, wanted.domain)
    return number_of(connection, actor, address)


def lock_own(connection: Connection, actor: Actor, address: str) -> tuple[int, str]:
    """`lock` for acts that the account's owner may do as well: on it alone, not on its domain."""
    number, key = number_of(connection, actor, address)
    connection.execute(select(account.c.id).where(account.c.id == number).with_for_update())
    return number, key


def number_of(connection: Connection, actor: Actor, address: str) -> tuple[int, str]:
    """The number and key of an account, for its owner too; `Refused` when it is not there."""
    wanted = read_address(address)
    require_account(actor, wanted)
    is_it = (domain.c.name == wanted.domain) & (account.c.local_part == wanted.local_key)
    number = connection.scalar(select(account.c.id).select_from(account.join(domain)).where(is_it))
    if number is None:
        raise Refused(_absent(wanted))
    return number, wanted.key


def check_free(connection: Connection, domain_id: int, address: Address, *, beside_alias: bool = False) -> str:
    """The local part, in lower case, of an address that no account (and no alias) has yet; `Refused` otherwise."""
    local = address.local_key
    at = {"account": account, "alias": alias}
    for kind, table in at.items():
        if kind == "alias" and beside_alias:
            continue
        if connection.scalar(select(table.c.id).where(table.c.domain_id == domain_id, table.c.local_part == local)):
            raise Refused(f"{address.for_people} is an {kind} already; remove that first, or take another address")
    return local


def _set_credential(connection: Connection, account_id: int, secret: PasswordHashes, now: int) -> None:
    # A new row and so a new number: whoever remembers a verified log-in by it forgets it.
    connection.execute(delete(credential).where(credential.c.account_id == account_id, credential.c.kind == "password"))
    connection.execute(
        insert(credential).values(
            account_id=account_id, kind="password", hash=secret.hash, scram=secret.scram, created_at=now
        )
    )


def _check_quota(quota_octets: int | None) -> None:
    if quota_octets is not None and not 0 < quota_octets < 1 << 62:
        raise Refused("a quota is more than nothing; write it like 1G, or none for no bound")


def _query() -> Select[Any]:
    return select(
        account.c.local_part,
        domain.c.name,
        account.c.state,
        account.c.quota_octets,
        account.c.created_at,
        account.c.frozen_at,
        account.c.frozen_why,
        func.coalesce(mailbox.c.used_octets, 0).label("used_octets"),
        func.coalesce(mailbox.c.used_messages, 0).label("used_messages"),
        mailbox.c.last_login_at,
    ).select_from(account.join(domain).outerjoin(mailbox))


def _narrow(query: Select[Any], actor: Actor, domain_name: str | None, search: str) -> Select[Any]:
    if not actor.all_domains:
        query = query.where(domain.c.name.in_(actor.domains))
    if domain_name:
        query = query.where(domain.c.name == read_domain(domain_name))
    if search:
        query = query.where(address_contains(account.c.local_part, search))
    return query


def _view(row: Row[Any]) -> AccountView:
    return AccountView(
        address=Address(row.local_part, row.name),
        state=row.state,
        quota_octets=row.quota_octets,
        used_octets=row.used_octets,
        used_messages=row.used_messages,
        last_login_at=None if row.last_login_at is None else from_micros(row.last_login_at),
        created_at=from_micros(row.created_at),
        frozen_at=None if row.frozen_at is None else from_micros(row.frozen_at),
        frozen_why=row.frozen_why,
    )


def _absent(address: Address) -> str:
    return (
        f"{address.for_people} is not an account of this host; "
        f"see `account list --domain {domain_for_people(address.domain)}`"
    )
