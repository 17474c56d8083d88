"""A part of a backup comes back, on SQLite and on PostgreSQL; who may do it, and what the audit says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from mailstack.management import accounts, domains, removal
from mailstack.management.actor import Actor, Forbidden
from mailstack.management.domains import DomainTerms
from mailstack.management.partial_restore import BATCH_CONTENTS, Scope, restore_part
from mailstack.store import schema
from mailstack.store.acceptance import insert_entries
from mailstack.store.content import ContentStore
from mailstack.store.database import Connection, Database
from mailstack.store.passwords import PasswordHashes
from mailstack.store.snapshot import write_backup

ROOT = Actor("root", "192.0.2.1", all_domains=True)
OLGA = Actor("olga", "192.0.2.1", domains=frozenset({"example.test"}))
MAILS = 2 * BATCH_CONTENTS + 1


def fill(connection: Connection) -> None:
    """Ann and ben share each content, as two recipients of a mail do."""
    domains.add(connection, ROOT, "example.test", DomainTerms())
    for local in ("ann", "ben"):
        accounts.add(connection, ROOT, f"{local}@example.test", PasswordHashes("hash", "scram"))
    numbers = connection.scalars(select(schema.account.c.id)).all()
    for number in range(MAILS):
        connection.execute(schema.content.insert().values(id=number + 1, size_octets=4, body=b"a\xff\r\n"))
        rows = [
            {"account_id": one, "content_id": number + 1, "unique_id": f"u{number}", "prefix": b"P: \xff\r\n"}
            | {"size_octets": 10, "received_at": number}
            for one in numbers
        ]
        insert_entries(connection, rows)


def kept(connection: Connection) -> list[tuple[object, ...]]:
    entry = schema.maildrop_entry.c
    query = (
        select(schema.account.c.local_part, entry.unique_id, entry.received_at, entry.prefix, schema.content.c.body)
        .select_from(schema.maildrop_entry.join(schema.account).join(schema.content))
        .order_by(schema.account.c.local_part, entry.received_at)
    )
    return [tuple(row) for row in connection.execute(query)]


def test_mail_comes_back_in_more_than_one_commit(each_database: Database, tmp_path: Path) -> None:
    contents, backup = tmp_path / "content", tmp_path / "a"
    store = ContentStore(contents, 100)
    each_database.write_now(fill)
    before = each_database.read_now(kept)
    write_backup(each_database, contents, backup, revision="r", now=datetime.now(UTC))
    removal.remove(each_database, ROOT, "ann@example.test", store)
    with pytest.raises(Forbidden):
        restore_part(
            each_database, contents, OLGA, backup, Scope("example.test", "ann"), revision="r", inline_octets=100
        )
    told = restore_part(each_database, contents, ROOT, backup, Scope("example.test"), revision="r", inline_octets=1)
    assert (told.domains, told.accounts, told.mails, told.were_there) == (0, 1, MAILS, MAILS)
    after = each_database.read_now(kept)
    assert [(*row[:4], row[4] or b"a\xff\r\n") for row in after] == before
    assert sum(path.is_file() for path in contents.glob("*/*")) == MAILS
    view = each_database.read_now(lambda connection: accounts.get(connection, ROOT, "ann@example.test"))
    assert (view.used_octets, view.used_messages) == (10 * MAILS, MAILS)
    last = select(schema.audit_entry.c.act, schema.audit_entry.c.object).order_by(schema.audit_entry.c.id.desc())
    assert tuple(each_database.read_now(lambda c: c.execute(last).first())) == ("backup.restore", "example.test")
