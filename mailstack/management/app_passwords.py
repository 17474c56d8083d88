"""App passwords: one for each device or program, made by the host, shown once, revoked without touching the others.

They open the mail services by PLAIN, LOGIN and USER/PASS, never the panel; SCRAM knows the account's own password only.
Neighbours: `store/passwords` checks them; `accounts` for the account's own password.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select

from mailstack.management.accounts import lock_own, number_of
from mailstack.management.actor import Actor, Refused, record
from mailstack.management.acts import now_micros, taken_means
from mailstack.store.passwords import hash_app_password
from mailstack.store.schema import credential, from_micros

MAX_APP_PASSWORDS = 25
MAX_NAME = 64
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""No l, o, 0 and 1, which look alike; 32 characters, 5 bits each."""
_GROUPS = 4
_GROUP_LENGTH = 5


@dataclass(frozen=True, slots=True)
class AppPasswordView:
    """An app password as its owner sees it: never the password itself."""

    name: str
    created_at: datetime


def make_app_password() -> str:
    """A new one, of 100 bits of chance, in groups that can be typed."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))


def add(connection: Connection, actor: Actor, address: str, name: str, password: str) -> None:
    """Take a password of `make_app_password` in, for the device or program of that name.

    Raises:
        Refused: no such account, a bad name or one that is taken, or there are too many.
    """
    number, key = lock_own(connection, actor, address)
    kept = _read_name(name)
    mine = (credential.c.account_id == number) & (credential.c.kind == "app")
    if (connection.scalar(select(func.count()).where(mine)) or 0) >= MAX_APP_PASSWORDS:
        raise Refused(f"{address} has {MAX_APP_PASSWORDS} app passwords; revoke one that is not used any more")
    taken = f'there is an app password "{kept}" already; revoke it, or take another name'
    if connection.scalar(select(credential.c.id).where(mine, credential.c.name == kept)):
        raise Refused(taken)
    values = {"account_id": number, "kind": "app", "name": kept, "hash": hash_app_password(password)}
    with taken_means(taken):
        connection.execute(insert(credential).values(created_at=now_micros(), **values))
    record(connection, actor, "app_password.add", key, kept)


def revoke(connection: Connection, actor: Actor, address: str, name: str) -> None:
    """Make an app password void at once; `Refused` when there is none of that name."""
    number, key = lock_own(connection, actor, address)
    is_it = (credential.c.account_id == number) & (credential.c.kind == "app") & (credential.c.name == name.strip())
    if not connection.execute(delete(credential).where(is_it)).rowcount:
        raise Refused(f'{address} has no app password "{name}"; see `account app-password list`')
    record(connection, actor, "app_password.revoke", key, name.strip())


def find(connection: Connection, actor: Actor, address: str) -> list[AppPasswordView]:
    """The app passwords of an account by name; `Refused` when there is no such account."""
    number, _ = number_of(connection, actor, address)
    rows = select(credential.c.name, credential.c.created_at).where(
        credential.c.account_id == number, credential.c.kind == "app"
    )
    return [
        AppPasswordView(row.name, from_micros(row.created_at))
        for row in connection.execute(rows.order_by(credential.c.name))
    ]


def _read_name(name: str) -> str:
    kept = name.strip()
    if not kept or len(kept) > MAX_NAME or not kept.isprintable():
        raise Refused(f"an app password has a name of 1 to {MAX_NAME} characters, like: phone; choose another")
    return kept
