"""Accounts, by the API."""

from datetime import datetime
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from admin_ui.api.operations import operation
from admin_ui.api.values import Body, Items, Paging
from admin_ui.core.acts import act, actor, ask
from admin_ui.core.panel import panel
from mailstack.management import account_import, accounts, removal
from mailstack.management.accounts import AccountView
from mailstack.management.actor import Actor
from mailstack.management.acts import make_hashes, read_address
from mailstack.store.database import Connection

State = Literal["active", "suspended"]


class Account(Struct):
    """An account; sizes in octets."""

    address: str
    state: State
    quota_octets: int | None
    used_octets: int
    used_messages: int
    last_login_at: datetime | None
    created_at: datetime


class AccountPaging(Paging):
    """A list of accounts."""

    domain: str = ""


class NewAccount(Body):
    """An account to add."""

    address: str
    password: str
    quota_octets: int | None = None


class AccountChange(Body):
    """What to set; what is left out stays."""

    state: State | UnsetType = UNSET
    quota_octets: int | UnsetType | None = UNSET


class NewPassword(Body):
    """A password to set."""

    password: str


class Import(Body):
    """CSV with the columns address, password or hash, quota; a head line may name them."""

    csv: str
    dry_run: bool = False


class Imported(Struct):
    """What became of a line; empty trouble = an account was, or would be, made."""

    line: int
    address: str
    trouble: str


@operation("GET", "/accounts", "accounts:read", "The accounts of your domains")
def list_accounts(query: AccountPaging) -> Items[Account]:
    """By domain and name."""
    found = ask(
        accounts.find,
        domain_name=query.domain or None,
        search=query.search,
        after=_key_of(query.after),
        limit=query.limit + 1,
    )
    shown = found[: query.limit]
    return Items([_told(view) for view in shown], str(shown[-1].address) if len(found) > query.limit else None)


@operation("POST", "/accounts", "accounts:write", "Add an account", status=201)
def add_account(body: NewAccount) -> Account:
    """Its domain must be here and local."""
    return _told(act(accounts.add, body.address, make_hashes(body.password), body.quota_octets))


@operation("POST", "/accounts-import", "accounts:write", "Add accounts from CSV")
def import_accounts(body: Import) -> list[Imported]:
    """Each line stands for itself: what is wrong with one stops no other. A dry run changes nothing."""
    wishes = account_import.read_wishes(body.csv)
    results = (
        ask(account_import.try_out, wishes)
        if body.dry_run
        else list(account_import.carry_out(panel().database, actor(), wishes))
    )
    return [Imported(one.line, one.address, one.trouble) for one in results]


@operation("GET", "/accounts/{address}", "accounts:read", "One account")
def get_account(address: str) -> Account:
    """By its address."""
    return _told(ask(accounts.get, address))


@operation("PATCH", "/accounts/{address}", "accounts:write", "Suspend, resume, or set the quota")
def change_account(address: str, body: AccountChange) -> Account:
    """Only what is given."""
    return _told(act(_change, address, body))


@operation("PUT", "/accounts/{address}/password", "accounts:write", "Give an account a new password", status=204)
def set_password(address: str, body: NewPassword) -> None:
    """The old one is void at once."""
    act(accounts.change_password, address, make_hashes(body.password))


@operation("DELETE", "/accounts/{address}", "accounts:write", "Remove an account and its mail", status=204)
def remove_account(address: str) -> None:
    """It cannot be undone."""
    removal.remove(panel().database, actor(), address, panel().contents)


def _change(connection: Connection, who: Actor, address: str, body: AccountChange) -> AccountView:
    if not isinstance(body.state, UnsetType):
        accounts.set_state(connection, who, address, body.state)
    if not isinstance(body.quota_octets, UnsetType):
        accounts.set_quota(connection, who, address, body.quota_octets)
    return accounts.get(connection, who, address)


def _key_of(after: str) -> tuple[str, str] | None:
    """The place in a list behind an address; None = its beginning."""
    if not after:
        return None
    address = read_address(after)
    return address.domain, address.local


def _told(view: AccountView) -> Account:
    return Account(
        str(view.address),
        "suspended" if view.state == "suspended" else "active",
        view.quota_octets,
        view.used_octets,
        view.used_messages,
        view.last_login_at,
        view.created_at,
    )
