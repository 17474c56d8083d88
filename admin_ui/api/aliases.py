"""Aliases, by the API."""

from msgspec import Struct

from admin_ui.api.operations import operation
from admin_ui.api.values import Body, Items, Paging, Query
from admin_ui.core.acts import act, ask
from mailstack.management import aliases
from mailstack.management.aliases import AliasView, read_alias


class Alias(Struct):
    """An address, or `@domain` for the catch-all, and where its mail goes."""

    address: str
    targets: list[str]


class AliasPaging(Paging):
    """A list of aliases."""

    domain: str = ""


class Which(Query):
    """Only this target; empty = the whole alias."""

    target: str = ""


class Targets(Body):
    """Addresses to add."""

    targets: list[str]


@operation("GET", "/aliases", "aliases:read", "The aliases of your domains")
def list_aliases(query: AliasPaging) -> Items[Alias]:
    """By domain and name."""
    after = read_alias(query.after) if query.after else None
    found = ask(
        aliases.find,
        domain_name=query.domain or None,
        search=query.search,
        after=(after.domain, after.local) if after else None,
        limit=query.limit + 1,
    )
    shown = found[: query.limit]
    return Items([_told(view) for view in shown], str(shown[-1].address) if len(found) > query.limit else None)


@operation("GET", "/aliases/{address}", "aliases:read", "One alias")
def get_alias(address: str) -> Alias:
    """By its address."""
    return _told(ask(aliases.get, address))


@operation("PUT", "/aliases/{address}", "aliases:write", "Add targets to an alias, made when it is not there")
def add_targets(address: str, body: Targets) -> Alias:
    """Targets that it has already stay as they are."""
    return _told(act(aliases.add, address, body.targets))


@operation("DELETE", "/aliases/{address}", "aliases:write", "Remove an alias, or one target of it", status=204)
def remove_alias(address: str, query: Which) -> None:
    """The last target takes the alias with it."""
    act(aliases.remove, address, [query.target] if query.target else [])


def _told(view: AliasView) -> Alias:
    return Alias(str(view.address), [str(target) for target in view.targets])
