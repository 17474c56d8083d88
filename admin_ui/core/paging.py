"""Lists a page at a time, by the key of the last row: page 1,000 costs what page 1 costs.

A view asks for `SIZE + 1` rows beyond `after`; `page` cuts the last one off and knows by it that there is more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask import request, url_for

SIZE = 50
MAX_NUMBER = 2**62
"""More than any row's number; databases know no larger ones."""
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list."""

    rows: Sequence[Row]
    next: str | None
    """The `after` of the page behind this one; None = this is the last."""
    is_first: bool


def after_number() -> int | None:
    """The `after` of this request where the key is a row's number; None = from the start."""
    after = request.args.get("after", type=int)
    return after if after is not None and 0 <= after <= MAX_NUMBER else None


@dataclass(frozen=True, slots=True)
class WantedAddresses:
    """What a list of accounts or aliases is asked for."""

    search: str
    domain: str | None
    after: tuple[str, str] | None
    """Domain and local part of the last one shown."""


def wanted_addresses() -> WantedAddresses:
    """What this request asks a list of addresses for; its pages go on behind an address' key."""
    local, at, domain = request.args.get("after", "").rpartition("@")
    return WantedAddresses(
        request.args.get("search", "").strip(), request.args.get("domain") or None, (domain, local) if at else None
    )


def page(rows: Sequence[Row], key: Callable[[Row], object], size: int = SIZE) -> Page[Row]:
    """The page of up to `size + 1` rows; `key` gives what the list is ordered by."""
    more = len(rows) > size
    shown = rows[:size]
    return Page(shown, str(key(shown[-1])) if more else None, "after" not in request.args)


def here(**changes: str | None) -> str:
    """The address of this page with other parameters; None takes one away. Templates know it too."""
    wanted: dict[str, Any] = {**request.args.to_dict(), **(request.view_args or {}), **changes}
    return url_for(request.endpoint or "home.door", **wanted)
