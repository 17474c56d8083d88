"""The end of domains, accounts and aliases: what is told before is what happens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from mailstack.management import accounts, administrators, aliases, domains, forwards, limits, removal
from mailstack.management.actor import Actor, Forbidden, Refused
from mailstack.management.domains import DomainTerms
from mailstack.policy.limits import Over, Per, Rule
from mailstack.store import schema
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.passwords import PasswordHashes

ROOT = Actor("root", "command line", all_domains=True)
OLGA = Actor("olga", "192.0.2.1", domains=frozenset({"example.test"}))
SECRET = PasswordHashes("hash", "scram")
Do = Callable[..., Any]


@pytest.fixture
def do(each_database: Database) -> Do:
    def run(act: Do, *arguments: Any, **options: Any) -> Any:
        return each_database.write_now(lambda connection: act(connection, ROOT, *arguments, **options))

    for name in ("example.test", "test.example.test", "other.test"):
        run(domains.add, name, DomainTerms())
    for name in ("ann@example.test", "ben@example.test", "eve@other.test"):
        run(accounts.add, name, SECRET)
    return run


def give_mail(database: Database, local_part: str, octets: int) -> None:
    def work(connection: Any) -> None:
        number = connection.scalar(select(schema.account.c.id).where(schema.account.c.local_part == local_part))
        connection.execute(insert(schema.content).values(id=number, size_octets=octets, body=b"x"))
        entry = {"account_id": number, "content_id": number, "unique_id": "A", "prefix": b"", "size_octets": octets}
        connection.execute(insert(schema.maildrop_entry).values(received_at=0, **entry))
        held = update(schema.mailbox).where(schema.mailbox.c.account_id == number)
        connection.execute(held.values(used_octets=octets, used_messages=1))

    database.write_now(work)


def test_a_domain_goes_with_all_that_is_in_it(
    do: Do, each_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "ACCOUNTS_AT_ONCE", 1)
    do(aliases.add, "info@example.test", ["ann@example.test"])
    do(aliases.add, "team@other.test", ["ann@example.test", "eve@other.test"])
    do(forwards.change, "eve@other.test", ["ben@example.test"], keeps_copy=False)
    do(administrators.add, "olga", "hash", ("example.test",))
    for scope in ("example.test", "each@example.test", "ann@example.test", "eve@other.test", "test.example.test"):
        do(limits.set_rule, Rule(scope, Per.DAY, 5, None, Over.REFUSE))
    give_mail(each_database, "ann", 100)
    told = do(removal.preview_domain, "example.test")
    assert (told.accounts, told.aliases, told.messages, told.octets) == (2, 1, 1, 100)
    assert (told.limits, told.administrators) == (3, ("olga",))
    contents = ContentStore(tmp_path / "content", 1000)
    with pytest.raises(Forbidden):
        removal.remove_domain(each_database, OLGA, "example.test", contents)
    assert removal.remove_domain(each_database, ROOT, "example.test", contents) == told
    assert [view.name for view in do(domains.find)] == ["other.test", "test.example.test"]
    assert [view.address.key for view in do(accounts.find)] == ["eve@other.test"]
    assert [str(target) for target in do(aliases.get, "team@other.test").targets] == ["eve@other.test"]
    assert do(forwards.get, "eve@other.test").targets == ()
    assert {used.rule.scope for used in do(limits.find)} == {"eve@other.test", "test.example.test"}
    left = each_database.read_now(lambda c: c.scalars(select(schema.content.c.id)).all())
    assert left == []


def test_an_accounts_end_is_told_to_those_who_forward_to_it(do: Do) -> None:
    do(forwards.change, "eve@other.test", ["Ann@example.test"], keeps_copy=True)
    assert do(removal.preview, "ann@example.test").forwards == ("eve@other.test",)


def test_what_an_aliass_end_means(do: Do) -> None:
    do(aliases.add, "info@example.test", ["ann@example.test"])
    do(aliases.add, "all@other.test", ["INFO@example.test"])
    told = do(removal.preview_alias, "info@example.test")
    assert (told.caught_by, told.aliases) == ((), ("all@other.test",))
    do(aliases.add, "@example.test", ["ben@example.test"])
    told = do(removal.preview_alias, "info@example.test")
    assert [str(target) for target in told.caught_by] == ["ben@example.test"]
    assert do(removal.preview_alias, "@example.test").caught_by == ()


def test_an_aliass_targets_are_set_anew(do: Do) -> None:
    do(aliases.add, "info@example.test", ["ann@example.test"])
    view = do(aliases.change, "info@example.test", ["ben@example.test", "sam@far.test"])
    assert [str(target) for target in view.targets] == ["ben@example.test", "sam@far.test"]
    for targets in ([], ["info@example.test"], ["nobody"]):
        with pytest.raises(Refused):
            do(aliases.change, "info@example.test", targets)
    with pytest.raises(Refused, match="not an alias"):
        do(aliases.change, "absent@example.test", ["ann@example.test"])
