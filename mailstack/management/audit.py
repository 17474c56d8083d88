"""The audit log: who did what, when, from where. Every act writes it (`actor.record`), here it is read.

A superadministrator reads all of it, a domain's administrator what concerns the domains and their own deeds, an
account's owner what was done to the account, by whomever, and their own deeds.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, or_, select

from mailstack.management.actor import Actor
from mailstack.management.acts import PAGE, contains
from mailstack.store.schema import audit_entry, from_micros


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the log."""

    id: int
    at: datetime
    actor: str
    source: str
    """An IP address, or `command line`."""
    act: str
    """Noun and verb, as in `account.add`."""
    object: str
    detail: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines; all when nothing is said."""

    who: str = ""
    """A part of the actor's name or of the address he came from."""
    what: str = ""
    """The noun of the act, as in `account`."""
    about: str = ""
    """A part of the object or the detail."""


EVERYTHING = Wanted()


def find(
    connection: Connection, actor: Actor, wanted: Wanted = EVERYTHING, *, after: int | None = None, limit: int = PAGE
) -> list[Deed]:
    """The lines that the actor may read, the newest first, beyond the number `after` of one."""
    query = select(audit_entry).where(*_visible(actor)).order_by(audit_entry.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(audit_entry.c.id < after)
    if wanted.who:
        query = query.where(or_(contains(audit_entry.c.actor, wanted.who), contains(audit_entry.c.source, wanted.who)))
    if wanted.what:
        query = query.where(audit_entry.c.act.startswith(f"{wanted.what}.", autoescape=True))
    if wanted.about:
        text = (contains(audit_entry.c.object, wanted.about), contains(audit_entry.c.detail, wanted.about))
        query = query.where(or_(*text))
    return [
        Deed(row.id, from_micros(row.at), row.actor, row.source, row.act, row.object, row.detail)
        for row in connection.execute(query)
    ]


def _visible(actor: Actor) -> list[ColumnElement[bool]]:
    if actor.all_domains:
        return []
    theirs = [audit_entry.c.actor == actor.name]
    if actor.account is not None:
        theirs.append(audit_entry.c.object == actor.account)
    for name in sorted(actor.domains):
        theirs += [audit_entry.c.object == name, audit_entry.c.object.endswith(f"@{name}", autoescape=True)]
    return [or_(*theirs)]
