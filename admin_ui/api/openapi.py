"""The OpenAPI 3.1 document of the table of operations, from the same types that check the requests."""

import re
from collections.abc import Sequence
from types import NoneType
from typing import Any

import msgspec

from admin_ui.api.operations import Operation
from admin_ui.api.values import Trouble
from mailstack import __version__

_REFERENCE = "#/components/schemas/{name}"
_ERRORS = {
    "400": "The request cannot be read",
    "401": "No valid token",
    "403": "The token or its owner may not",
    "404": "It is not there",
    "409": "It cannot be done",
    "503": "Passing trouble of this host",
}


def describe(operations: Sequence[Operation], prefix: str) -> dict[str, Any]:
    """The whole document."""
    types = [Trouble, *(one for each in operations for one in _bodies(each))]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    schema_of = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for each in operations:
        paths.setdefault(prefix + each.path, {})[each.method.lower()] = _described(each, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mailstack", "version": __version__, "description": "What the panel does, for programs."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {code: _error(why, schema_of[id(Trouble)]) for code, why in _ERRORS.items()},
        },
        "security": [{"token": []}],
    }


def _bodies(operation: Operation) -> list[Any]:
    takes = operation.takes
    return [takes[name] for name in ("body", "return") if takes.get(name) not in (None, NoneType)]


def _error(why: str, schema: Any) -> dict[str, Any]:
    return {"description": why, "content": {"application/json": {"schema": schema}}}


def _described(operation: Operation, schema_of: dict[int, Any]) -> dict[str, Any]:
    takes = operation.takes
    answer: dict[str, Any] = {"description": operation.summary}
    if takes.get("return") not in (None, NoneType):
        answer["content"] = {"application/json": {"schema": schema_of[id(takes["return"])]}}
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"{operation.run.__doc__} Scope: `{operation.scope}`.",
        "parameters": [*_path_parts(operation), *_query_parts(takes.get("query"))],
        "responses": {
            str(operation.status): answer,
            **{code: {"$ref": f"#/components/responses/{code}"} for code in _ERRORS},
        },
    }
    if "body" in takes:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[id(takes["body"])]}},
        }
    return found


def _path_parts(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]


def _query_parts(query: Any) -> list[dict[str, Any]]:
    if query is None:
        return []
    schema = msgspec.json.schema_components([query], ref_template=_REFERENCE)[1][query.__name__]
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": kind}
        for name, kind in schema["properties"].items()
    ]
