"""Rows for tests of the store, by their names."""

from typing import Any

from sqlalchemy import Connection, insert, select

from mailstack.mail.address import parse_address
from mailstack.store import schema


def add_domain(connection: Connection, name: str, kind: str = "local", **columns: Any) -> int:
    if kind == "relay":
        columns.setdefault("next_hop", "inside.example.net")
    return _add(connection, schema.domain, name=name, kind=kind, created_at=0, **columns)


def add_account(connection: Connection, address: str, **columns: Any) -> int:
    local, _, domain = address.rpartition("@")
    columns |= {"domain_id": _domain_id(connection, domain), "local_part": local, "created_at": 0}
    return _add(connection, schema.account, **columns)


def add_alias(connection: Connection, address: str, *targets: str) -> None:
    local, _, domain = address.rpartition("@")
    alias_id = _add(connection, schema.alias, domain_id=_domain_id(connection, domain), local_part=local, created_at=0)
    for target in targets:
        row = {"alias_id": alias_id, "address": str(parse_address(target))}
        connection.execute(insert(schema.alias_target).values(row))


def add_credential(
    connection: Connection, account_id: int, hash_: str, scram: str | None = None, **columns: Any
) -> int:
    columns = {"kind": "password", "created_at": 0} | columns
    return _add(connection, schema.credential, account_id=account_id, hash=hash_, scram=scram, **columns)


def _add(connection: Connection, table: Any, **columns: Any) -> int:
    row_id = connection.execute(insert(table).values(columns)).inserted_primary_key[0]
    assert isinstance(row_id, int)
    return row_id


def _domain_id(connection: Connection, name: str) -> int:
    found = connection.scalar(select(schema.domain.c.id).where(schema.domain.c.name == name))
    assert found is not None, name
    return found
