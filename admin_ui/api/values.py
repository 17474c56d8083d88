"""What goes in and out of the API and is shared by its nouns."""

from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct

MOST = 1000
Item = TypeVar("Item")
Limit = Annotated[int, Meta(ge=1, le=MOST, description="How many at most")]


class Query(Struct, forbid_unknown_fields=True, kw_only=True):
    """What stands behind the question mark; an unknown name is an error."""


class Body(Struct, forbid_unknown_fields=True, kw_only=True):
    """A JSON body; an unknown field is an error."""


class Paging(Query):
    """A list, a page at a time."""

    search: str = ""
    after: str = ""
    """`next` of the page before."""
    limit: Limit = 100


class Items(Struct, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    next: str | None
    """Give it as `after` for the page behind; null = this was the last."""


class Done(Struct):
    """How many an act concerned."""

    done: int


class Trouble(Struct):
    """Why something was not done: one line that says what, why and the mend."""

    error: str


class NotDone(Exception):
    """A request that goes no further: the HTTP status, and one line that says what, why and the mend."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
