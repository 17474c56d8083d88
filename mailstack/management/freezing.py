"""Frozen accounts: their sending is held until somebody has looked; one act lets go or drops what is held.

Neighbours: `store/freezing` does it; `reception/watch` freezes by itself what bursts (`policy/habit`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, select

from mailstack.management import accounts
from mailstack.management.actor import Actor, Refused, record
from mailstack.management.acts import PAGE, now_micros
from mailstack.store import freezing, open_mail
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.directory import bump_version
from mailstack.store.schema import account, domain, from_micros


@dataclass(frozen=True, slots=True)
class FrozenView:
    """A frozen account: since when, why, and how many deliveries are held for it."""

    address: str
    frozen_at: datetime
    why: str
    held: int


def freeze(connection: Connection, actor: Actor, address: str, why: str) -> None:
    """Hold all that an account sends; it receives and fetches as before. `Refused` when it is frozen already."""
    number, key = accounts.lock(connection, actor, address)
    if not why.strip():
        raise Refused("a freeze needs a reason, for its owner will read it")
    if not freezing.freeze(connection, number, why.strip(), now_micros()):
        raise Refused(f"{key} is frozen already; let it go with `account unfreeze {key}`")
    record(connection, actor, "account.freeze", key, why.strip())
    bump_version(connection)


def unfreeze(connection: Connection, actor: Actor, address: str) -> None:
    """Let an account send again; what is held goes as its limits allow. `Refused` when it is not frozen."""
    number, key = accounts.lock(connection, actor, address)
    if not freezing.unfreeze(connection, number, now_micros(), actor.name):
        raise Refused(f"{key} is not frozen; what a limit holds goes by itself, or by `queue release`")
    record(connection, actor, "account.unfreeze", key)
    bump_version(connection)


def drop_held(
    database: Database,
    actor: Actor,
    address: str,
    contents: ContentStore,
    progress: Callable[[int], None] = lambda _done: None,
) -> int:
    """End, without a word to the sender, all that limits and a freeze hold for an account; how many that were.

    Args:
        database: open; called from a thread that may block.
        actor: who.
        address: the account; it stays frozen if it is.
        contents: where the contents of dropped messages lie in files.
        progress: told how many are done, after each batch.
    """
    done = after = 0
    while True:
        batch, files = database.write_now(partial(_drop_once, actor, address, after))
        contents.remove_files_now(files)
        done += len(batch)
        progress(done)
        if len(batch) < open_mail.BATCH:
            return done
        after = batch[-1].number


def _drop_once(
    actor: Actor, address: str, after: int, connection: Connection
) -> tuple[list[open_mail.OpenDelivery], list[str]]:
    number, key = accounts.lock(connection, actor, address)
    batch = freezing.held_deliveries(connection, number, after)
    files = open_mail.drop(connection, batch, now_micros(), actor.name) if batch else []
    if batch:
        record(connection, actor, "account.drop_held", key, f"{len(batch)} deliveries")
    return batch, files


def find(connection: Connection, actor: Actor, limit: int = PAGE) -> list[FrozenView]:
    """The actor's frozen accounts, the latest first."""
    query = (
        select(account.c.id, account.c.local_part, domain.c.name, account.c.frozen_at, account.c.frozen_why)
        .join_from(account, domain)
        .where(account.c.frozen_at.is_not(None))
        .order_by(account.c.frozen_at.desc(), account.c.id)
        .limit(limit)
    )
    if not actor.all_domains:
        query = query.where(domain.c.name.in_(actor.domains))
    return [
        FrozenView(
            f"{row.local_part}@{row.name}",
            from_micros(row.frozen_at),
            row.frozen_why,
            held.deliveries if (held := freezing.held_of(connection, row.id)) else 0,
        )
        for row in connection.execute(query).all()
    ]
