"""The table of the API's operations: path, scope, types in and out, and the function that does it.

    @operation("GET", "/domains", "domains:read", "The domains you run")
    def list_domains(query: Paging) -> Items[Domain]: …

The arguments tell what an operation takes: `query` and `body` are read and checked by their types (msgspec), the others
are parts of the path. Neighbours: `views` calls them, `openapi` describes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import get_annotations
from typing import Any

DoOperation = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a program can do."""

    method: str
    path: str
    """Below `/api/v1`, with parts in braces: `/domains/{name}`."""
    scope: str
    """Of `management/tokens.SCOPES`: what the token must be good for."""
    summary: str
    status: int
    run: DoOperation

    @property
    def name(self) -> str:
        """Unique; the operationId."""
        return self.run.__name__

    @property
    def takes(self) -> dict[str, Any]:
        """The types of `query` and `body`, as far as it takes them, and of its `return`."""
        return get_annotations(self.run, eval_str=True)


OPERATIONS: list[Operation] = []


def operation(
    method: str, path: str, scope: str, summary: str, *, status: int = 200
) -> Callable[[DoOperation], DoOperation]:
    """Add a function to the table."""

    def add(run: DoOperation) -> DoOperation:
        OPERATIONS.append(Operation(method, path, scope, summary, status, run))
        return run

    return add
