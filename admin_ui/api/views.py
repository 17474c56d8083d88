"""Serves the table of operations: who calls, may the token, what is asked; then the answer, or one line of why not.

Neighbours: `operations` and each noun's file; `management/tokens` knows the bearers.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from flask import Blueprint, Response, g, request
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException

from admin_ui.api import (
    accounts,
    administrators,
    aliases,
    audit,
    domains,
    limits,
    messages,
    overview,
    queue,
    services,
    trace,
)
from admin_ui.api.openapi import describe
from admin_ui.api.operations import OPERATIONS, Operation
from admin_ui.api.values import NotDone, Trouble
from admin_ui.core.access import Role, open_to
from admin_ui.core.panel import panel
from admin_ui.core.security import csrf
from mailstack import maillog
from mailstack.management import tokens
from mailstack.management.actor import Forbidden, Refused
from mailstack.store.database import StoreTrouble

NOUNS = (domains, accounts, services, aliases, limits, queue, trace, audit, administrators, messages, overview)
"""Imported for what they add to the table."""
PREFIX = "/api/v1"

blueprint = Blueprint("api", __name__, url_prefix=PREFIX)
csrf.exempt(blueprint)  # no cookie speaks for anybody here: a token in the header does


def _answer(status: int, value: object = None) -> Response:
    if status == 204:
        return Response(status=204)
    return Response(msgspec.json.encode(value), status, mimetype="application/json")


@blueprint.get("/openapi.json")
@open_to(Role.PROGRAM)
def openapi() -> Response:
    """The description of all operations (OpenAPI 3.1); tells nothing of this host."""
    return _answer(200, describe(OPERATIONS, PREFIX))


def _serve(operation: Operation) -> Callable[..., Response]:
    takes = operation.takes

    @open_to(Role.PROGRAM)
    def view(**path: str) -> Response:
        _let_in(operation.scope)
        given: dict[str, Any] = dict(path)
        if "query" in takes:
            given["query"] = _read(lambda: msgspec.convert(request.args.to_dict(), takes["query"], strict=False))
        if "body" in takes:
            given["body"] = _read(lambda: msgspec.json.decode(_body(), type=takes["body"]))
        return _answer(operation.status, operation.run(**given))

    return view


def _let_in(scope: str) -> None:
    """Find who calls, and put them where `core/acts` looks."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = None
    if kind.lower() == "bearer":
        bearer = panel().database.read_now(lambda connection: tokens.find_bearer(connection, token.strip()))
    if bearer is None:
        raise NotDone(401, "no valid token; send one as `Authorization: Bearer …`, made on the panel's API page")
    if scope not in bearer.scopes:
        raise NotDone(403, f"this token is not good for {scope}; make one that is")
    if bearer.is_use_stale:
        panel().database.write_now(lambda connection: tokens.note_used(connection, bearer.token_id))
    g.person = bearer.person
    g.actor = bearer.person.actor(request.remote_addr or "unknown")


def _body() -> bytes:
    """What was sent; no text of ours has NUL, and PostgreSQL takes none."""
    body = request.get_data()
    if b"\0" in body or b"\\u0000" in body:
        raise NotDone(400, "the request has a NUL character, which no text of ours has; leave it out")
    return body


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except msgspec.MsgspecError as error:
        raise NotDone(400, f"the request cannot be read: {error}; see {PREFIX}/openapi.json") from None


@blueprint.errorhandler(Exception)
def _fail(error: Exception) -> Response:
    """One line, whatever went wrong; never a page, never a traceback."""
    match error:
        case NotDone():
            status, why = error.status, str(error)
        case Forbidden():
            status, why = 403, str(error)
        case Refused():
            status, why = (404 if request.method == "GET" else 409), str(error)
        case HTTPException():
            status, why = error.code or 500, f"{error.name}; see {PREFIX}/openapi.json for what there is"
        case StoreTrouble():
            maillog.trouble("api", error)
            status, why = 503, "the database does not answer now and nothing was changed; try again in a moment"
        case _:
            maillog.bug("api", Failure(error))  # type: ignore[no-untyped-call]
            status, why = 500, "a fault of Mailstack itself, which stands in the host's log"
    answer = _answer(status, Trouble(why))
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="mailstack"'
    return answer


for _operation in OPERATIONS:
    blueprint.add_url_rule(
        _operation.path.replace("{", "<").replace("}", ">"),
        _operation.name,
        _serve(_operation),
        methods=[_operation.method],
    )
