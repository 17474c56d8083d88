"""Rows go in as they were given, however many there are."""

import pytest
from sqlalchemy import select

from mailstack.store.rows import CHUNK_ROWS, change_rows, insert_rows
from mailstack.store.schema import content


@pytest.mark.parametrize("count", [0, 1, 2, 3, CHUNK_ROWS - 1, CHUNK_ROWS, 3 * CHUNK_ROWS + 5])
def test_all_rows_in_their_order_on_both_databases(each_database, count):
    rows = [{"id": number, "size_octets": 2, "body": b"\x00\xff", "file": None} for number in range(1, count + 1)]

    def work(connection):
        insert_rows(connection, content, rows)
        columns = content.c.id, content.c.size_octets, content.c.body, content.c.file
        return [tuple(row) for row in connection.execute(select(*columns).order_by(content.c.id))]

    assert each_database.write_now(work) == [tuple(row.values()) for row in rows]


def test_the_order_of_a_rows_keys_does_not_matter(database):
    rows = [
        {"id": 1, "size_octets": 3, "body": b"one", "file": None},
        {"file": None, "body": b"two", "size_octets": 3, "id": 2},
    ]

    def work(connection):
        insert_rows(connection, content, rows)
        return list(connection.scalars(select(content.c.body).order_by(content.c.id)))

    assert database.write_now(work) == [b"one", b"two"]


def test_rows_take_their_values_from_what_is_given(each_database):
    rows = [{"id": number, "size_octets": 1, "body": b"x", "file": None} for number in range(1, CHUNK_ROWS + 3)]
    given = [{"number": row["id"], "size": row["id"] * 2**33, "body": b"new"} for row in rows[1:]]
    change = "UPDATE content SET size_octets = given.size, body = given.body FROM given WHERE content.id = given.number"

    def work(connection):
        insert_rows(connection, content, rows)
        change_rows(connection, change, given)
        found = connection.execute(select(content.c.size_octets, content.c.body).order_by(content.c.id))
        return [tuple(row) for row in found]

    changed = [(number * 2**33, b"new") for number in range(2, CHUNK_ROWS + 3)]
    assert each_database.write_now(work) == [(1, b"x"), *changed]
