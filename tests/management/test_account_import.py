"""Accounts by CSV: what is read, what a dry run says, and that what cannot be made stops nothing else."""

from collections.abc import Callable

import pytest
from passlib.hash import argon2
from sqlalchemy import select

from mailstack.management import account_import, accounts, domains
from mailstack.management.account_import import Result, Wish, carry_out, read_wishes, try_out
from mailstack.management.actor import Actor, Refused
from mailstack.management.domains import DomainTerms
from mailstack.store.database import Connection, Database
from mailstack.store.passwords import PasswordHashes, verify_hash
from mailstack.store.schema import credential

ROOT = Actor("root", "command line", all_domains=True)
OLGA = Actor("olga", "192.0.2.1", domains=frozenset({"example.test"}))
HASH = argon2.using(type="ID", memory_cost=64, time_cost=1).hash("imported")
PASSWORD = "correct horse"


@pytest.fixture
def host(each_database: Database) -> Database:
    def fill(connection: Connection) -> None:
        for name in ("example.test", "other.test"):
            domains.add(connection, ROOT, name, DomainTerms())
        accounts.add(connection, ROOT, "ann@example.test", PasswordHashes("hash", "scram"))

    each_database.write_now(fill)
    return each_database


@pytest.mark.parametrize(
    "text",
    [
        f"ben@example.test,{PASSWORD},1G\n",
        f"\ufeffben@example.test;{PASSWORD};1G\r\n\r\n",
        f"address,password,quota\nben@example.test,{PASSWORD},1G",
        f'Quota\tPassword\tADDRESS\n1G\t"{PASSWORD}"\t ben@example.test \n',
    ],
)
def test_forms_of_the_same_wish(text: str) -> None:
    [wish] = read_wishes(text)
    assert (wish.address, wish.password, wish.quota_octets) == ("ben@example.test", PASSWORD, 1 << 30)
    assert wish.trouble == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no line"),
        ("\n , \n", "no line"),
        ("name,password\nx,y", "names of columns"),
        ("address,address\nx,y", "names of columns"),
        ('a@example.test,"open', "no CSV"),
        ("a@example.test,x\n" * 5001, "too many at once"),
    ],
)
def test_files_that_are_no_list_of_accounts(text: str, told: str) -> None:
    with pytest.raises(Refused, match=told):
        read_wishes(text)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ben@example.test", "password or a hash"),
        ("ben@example.test,,,", "columns"),
        ("ben@example.test,password,many", "not a size"),
        ("address,hash\nben@example.test,$1$salt$hash", "no kind"),
        ("address,password,hash\nben@example.test,password,x", "password or a hash"),
    ],
)
def test_lines_that_cannot_be_read(line: str, told: str) -> None:
    [wish] = read_wishes(line)
    assert told in wish.trouble


LIST = f"""address,password,hash,quota
ben@example.test,{PASSWORD},,1G
ann@example.test,{PASSWORD},,
carl@example.test,short,,
dora@example.test,,"{{ARGON2ID}}{HASH}",
eve@absent.test,{PASSWORD},,
fay@other.test,{PASSWORD},,
ben@example.test,{PASSWORD},,
gus@example.test,{PASSWORD},,0
"""


def told(results: list[Result]) -> list[tuple[int, str]]:
    return [(result.line, result.trouble[:25]) for result in results]


def test_a_dry_run_says_what_the_run_then_does(host: Database) -> None:
    wishes = read_wishes(LIST)
    before = host.read_now(lambda c: accounts.count(c, ROOT))
    tried = host.read_now(lambda c: try_out(c, OLGA, wishes))
    assert host.read_now(lambda c: accounts.count(c, ROOT)) == before
    done = list(carry_out(host, OLGA, wishes))
    assert [(result.line, bool(result.trouble)) for result in done] == [
        (result.line, bool(result.trouble)) for result in tried
    ]
    assert told(done) == [
        (2, ""),
        (3, "ann@example.test is an ac"),
        (4, "the password has 5 charac"),
        (5, ""),
        (6, "absent.test is not one of"),
        (7, "other.test is not one of "),
        (8, "ben@example.test is an ac"),
        (9, "a quota is more than noth"),
    ]
    found = host.read_now(lambda c: accounts.find(c, ROOT))
    assert [str(view.address) for view in found] == ["ann@example.test", "ben@example.test", "dora@example.test"]
    kept = host.read_now(
        lambda c: c.execute(select(credential.c.hash, credential.c.scram).order_by(credential.c.id)).all()
    )
    assert verify_hash(PASSWORD, kept[1].hash)
    assert (kept[2].hash, kept[2].scram) == (HASH, None)


def test_what_is_made_stays_when_somebody_stops(host: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_import, "AT_ONCE", 2)
    wishes = [Wish(number, f"p{number}@example.test", hash=HASH) for number in range(5)]
    running = carry_out(host, ROOT, wishes)
    assert next(running).trouble == ""
    running.close()
    assert host.read_now(lambda c: accounts.count(c, ROOT)) == 3
    assert [bool(result.trouble) for result in carry_out(host, ROOT, wishes)] == [True, True, False, False, False]


def test_a_dry_run_writes_nothing_on_a_reading_connection(host: Database) -> None:
    question: Callable[[Connection], list[Result]] = lambda c: try_out(c, ROOT, read_wishes(LIST))  # noqa: E731
    assert len(host.read_now(question)) == 8
