"""Who did what, by the API."""

from datetime import datetime

from msgspec import Struct

from admin_ui.api.operations import operation
from admin_ui.api.values import Items, Limit, Query
from admin_ui.core.acts import ask
from mailstack.management import audit
from mailstack.management.audit import Wanted


class Deed(Struct):
    """One line of the audit log."""

    id: int
    at: datetime
    actor: str
    source: str
    act: str
    object: str
    detail: str


class AuditFilter(Query):
    """Parts of the actor's name or address, the noun of the act, a part of the object or detail."""

    who: str = ""
    what: str = ""
    about: str = ""
    after: int | None = None
    limit: Limit = 100


@operation("GET", "/audit", "audit:read", "Who did what, when, from where")
def list_audit(query: AuditFilter) -> Items[Deed]:
    """The newest first; only what you may read."""
    wanted = Wanted(query.who, query.what, query.about)
    found = ask(audit.find, wanted, after=query.after, limit=query.limit + 1)
    shown = [Deed(x.id, x.at, x.actor, x.source, x.act, x.object, x.detail) for x in found[: query.limit]]
    return Items(shown, str(shown[-1].id) if len(found) > query.limit else None)
