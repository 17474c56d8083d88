"""Tokens of the HTTP API: told once, found by hash, never further than their person."""

import pytest
from sqlalchemy import select, update

from mailstack.management import accounts, administrators, domains, tokens
from mailstack.management.actor import Actor, Refused
from mailstack.management.domains import DomainTerms
from mailstack.management.sign_in import Person, find_person
from mailstack.store.database import Connection, Database
from mailstack.store.passwords import PasswordHashes
from mailstack.store.schema import api_token

ROOT = Actor("root", "192.0.2.1", all_domains=True)


@pytest.fixture
def people(database: Database) -> dict[str, Person]:
    def fill(connection: Connection) -> dict[str, Person]:
        domains.add(connection, ROOT, "example.test", DomainTerms())
        accounts.add(connection, ROOT, "ann@example.test", PasswordHashes("hash", "scram"))
        administrators.add(connection, ROOT, "olga", "hash", ("example.test",))
        found = {name: find_person(connection, name) for name in ("olga", "ann@example.test")}
        return {name: person[0] for name, person in found.items() if person}

    return database.write_now(fill)


def create(database: Database, person: Person, *scopes: str, days: int | None = None, name: str = "a shop") -> str:
    return database.write_now(lambda c: tokens.create(c, person.actor("192.0.2.1"), person, name, scopes, days))


def test_a_token_is_its_person_with_its_scopes(database: Database, people: dict[str, Person]) -> None:
    for person in people.values():
        token = create(database, person, "queue:read", "domains:read", days=1)
        found = database.read_now(lambda c, t=token: tokens.find_bearer(c, t))  # type: ignore[misc]
        assert found is not None
        assert (found.person, found.scopes, found.is_use_stale) == (person, {"queue:read", "domains:read"}, True)
        database.write_now(lambda c, n=found.token_id: tokens.note_used(c, n))  # type: ignore[misc]
        again = database.read_now(lambda c, t=token: tokens.find_bearer(c, t))  # type: ignore[misc]
        assert again is not None
        assert not again.is_use_stale
        assert database.read_now(lambda c: c.scalars(select(api_token.c.token_hash)).all()).count(token) == 0


def test_what_is_no_token(database: Database, people: dict[str, Person]) -> None:
    olga = people["olga"]
    over = create(database, olga, "queue:read", days=1)
    database.write_now(lambda c: c.execute(update(api_token).values(expires_at=1)).close())
    for token in (over, "", "mst_x", over[4:]):
        assert database.read_now(lambda c, t=token: tokens.find_bearer(c, t)) is None  # type: ignore[misc]


def test_a_token_ends_with_its_account(database: Database, people: dict[str, Person]) -> None:
    token = create(database, people["ann@example.test"], "messages:send")
    database.write_now(lambda c: accounts.set_state(c, ROOT, "ann@example.test", "suspended"))
    assert database.read_now(lambda c: tokens.find_bearer(c, token)) is None


def test_one_revokes_only_ones_own(database: Database, people: dict[str, Person]) -> None:
    ann, olga = people["ann@example.test"], people["olga"]
    token = create(database, ann, "messages:send")
    [mine] = database.read_now(lambda c: tokens.find(c, ann))
    with pytest.raises(Refused, match="no such token"):
        database.write_now(lambda c: tokens.revoke(c, olga.actor("x"), olga, mine.id))
    database.write_now(lambda c: tokens.revoke(c, ann.actor("x"), ann, mine.id))
    assert database.read_now(lambda c: tokens.find_bearer(c, token)) is None


@pytest.mark.parametrize(
    ("name", "scopes", "days"),
    [
        ("", ("queue:read",), 1),
        ("x", (), 1),
        ("x", ("all",), 1),
        ("x", ("queue:read",), 0),
        ("x\n", ("queue:read",), 1),
    ],
)
def test_bad_wishes_are_refused(
    database: Database, people: dict[str, Person], name: str, scopes: tuple[str, ...], days: int
) -> None:
    with pytest.raises(Refused):
        create(database, people["olga"], *scopes, days=days, name=name)
