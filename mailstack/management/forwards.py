"""Forwards: other addresses that an account's mail goes to as well, or instead.

An account whose forwards lead nowhere keeps its mail, whatever was asked for; a suspended one forwards nothing.
Neighbours: `store/directory` follows forwards when mail comes in; `aliases` are addresses without a mailbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from mailstack.mail.address import Address
from mailstack.management.accounts import lock_own, number_of
from mailstack.management.actor import Actor, Refused, record
from mailstack.management.acts import read_address
from mailstack.store.directory import bump_version
from mailstack.store.schema import account, forward

MAX_FORWARDS = 20


@dataclass(frozen=True, slots=True)
class ForwardsView:
    """Where an account's mail goes; `keeps_copy` says nothing while there are no targets."""

    targets: tuple[Address, ...]
    keeps_copy: bool


def get(connection: Connection, actor: Actor, address: str) -> ForwardsView:
    """The forwards of an account; `Refused` when there is no such account."""
    number, _ = number_of(connection, actor, address)
    rows = connection.scalars(
        select(forward.c.address).where(forward.c.account_id == number).order_by(forward.c.address)
    )
    keeps_copy = connection.scalar(select(account.c.keeps_copy).where(account.c.id == number))
    return ForwardsView(tuple(map(read_address, rows)), bool(keeps_copy))


def change(
    connection: Connection, actor: Actor, address: str, targets: Sequence[str], *, keeps_copy: bool
) -> ForwardsView:
    """Set the forwards of an account anew; no target ends them.

    Raises:
        Refused: no such account, a target that is no address or the account itself, or too many.
    """
    number, key = lock_own(connection, actor, address)
    aimed = {target.key: target for target in map(read_address, targets)}
    for target in aimed.values():
        if key in (target.key, target.without_tag().key):
            raise Refused(f"{target.for_people} is the account itself; to keep its mail here as well, keep a copy")
    if len(aimed) > MAX_FORWARDS:
        raise Refused(f"{address} would have more than {MAX_FORWARDS} forwards; make an alias of the targets")
    connection.execute(delete(forward).where(forward.c.account_id == number))
    if aimed:
        rows = [{"account_id": number, "address": str(target)} for target in aimed.values()]
        connection.execute(insert(forward), rows)
    connection.execute(update(account).where(account.c.id == number).values(keeps_copy=keeps_copy or not aimed))
    told = " ".join(map(str, aimed.values())) or "none"
    record(connection, actor, "account.forward", key, told if keeps_copy or not aimed else f"{told}, no copy kept")
    bump_version(connection)
    return get(connection, actor, address)
