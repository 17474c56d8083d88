"""Domains, accounts, aliases: what is taken, what is refused and how, and what each act leaves behind."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from mailstack.management import accounts, aliases, domains, removal
from mailstack.management.actor import Actor, Refused
from mailstack.management.acts import make_hashes
from mailstack.management.domains import DomainTerms
from mailstack.store import schema
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.passwords import PasswordHashes, verify_hash

ROOT = Actor("ann", "command line", all_domains=True)
SECRET = PasswordHashes("hash", "scram")
DO = Callable[..., Any]


@pytest.fixture
def do(each_database: Database) -> DO:
    """Run an act as the superadministrator in a transaction of its own."""

    def run(act: DO, *arguments: Any, **options: Any) -> Any:
        return each_database.write_now(lambda connection: act(connection, ROOT, *arguments, **options))

    return run


@pytest.fixture
def host(do: DO) -> DO:
    """`do` on a host with a domain and an account."""
    do(domains.add, "example.test", DomainTerms())
    do(accounts.add, "Ann@Example.TEST", SECRET, 1000)
    return do


def version(database: Database) -> int:
    number: int = database.read_now(lambda connection: connection.scalar(select(schema.directory_version.c.version)))
    return number


def audit(database: Database) -> list[tuple[str, str]]:
    query = select(schema.audit_entry.c.act, schema.audit_entry.c.object).order_by(schema.audit_entry.c.id)
    return [(row.act, row.object) for row in database.read_now(lambda connection: connection.execute(query).all())]


def test_each_change_is_recorded_and_noticed(do: DO, each_database: Database) -> None:
    acts: list[tuple[Any, ...]] = [
        (domains.add, "bücher.test", DomainTerms()),
        (domains.change, "bücher.test", DomainTerms(expire_days=30)),
        (accounts.add, "ann@bücher.test", SECRET),
        (accounts.change_password, "ann@bücher.test", SECRET),
        (accounts.set_quota, "ann@bücher.test", 5000),
        (accounts.set_state, "ann@bücher.test", "suspended"),
        (aliases.add, "info@bücher.test", ["ann@bücher.test"]),
        (aliases.remove, "info@bücher.test"),
    ]
    for number, (act, *arguments) in enumerate(acts, 1):
        do(act, *arguments)
        assert version(each_database) == number + 1
    assert audit(each_database) == [
        ("domain.add", "xn--bcher-kva.test"),
        ("domain.change", "xn--bcher-kva.test"),
        ("account.add", "ann@xn--bcher-kva.test"),
        ("account.passwd", "ann@xn--bcher-kva.test"),
        ("account.quota", "ann@xn--bcher-kva.test"),
        ("account.suspend", "ann@xn--bcher-kva.test"),
        ("alias.add", "info@xn--bcher-kva.test"),
        ("alias.remove", "info@xn--bcher-kva.test"),
    ]


REFUSALS: list[tuple[Any, tuple[Any, ...], str]] = [
    (domains.add, ("example.test", DomainTerms()), "is there already"),
    (domains.add, ("EXAMPLE.test.", DomainTerms()), "is there already"),
    (domains.add, ("nodots", DomainTerms()), "not a full domain name"),
    (domains.add, ("a..b", DomainTerms()), "not a domain"),
    (domains.add, ("[192.0.2.1]", DomainTerms()), "not a full domain name"),
    (domains.add, ("relay.test", DomainTerms(kind="relay")), "--next-hop"),
    (domains.add, ("relay.test", DomainTerms(kind="relay", next_hop="a:b")), "is not a port"),
    (domains.add, ("x.test", DomainTerms(kind="other")), "no kind of domain"),
    (domains.change, ("example.test", DomainTerms("relay", "mx.example.net")), "1 accounts and 0 aliases"),
    (domains.remove, ("example.test",), "still has 1 accounts and 0 aliases; remove them first"),
    (domains.remove, ("absent.test",), "not a domain of this host"),
    (accounts.add, ("ann@example.test", SECRET), "is an account already"),
    (accounts.add, ("ANN@example.test", SECRET), "is an account already"),
    (accounts.add, ("ann", SECRET), "not an address"),
    (accounts.add, ("ann@absent.test", SECRET), "not a domain of this host; add it with `domain add`"),
    (accounts.add, ("ben@example.test", SECRET, 0), "quota is more than nothing"),
    (accounts.change_password, ("ben@example.test", SECRET), "not an account of this host"),
    (accounts.set_state, ("ben@example.test", "suspended"), "not an account of this host"),
    (aliases.add, ("ann@example.test", ["b@example.net"]), "is an account already"),
    (aliases.add, ("info@example.test", []), "needs a target"),
    (aliases.add, ("info@example.test", ["nobody"]), "not an address"),
    (aliases.add, ("info@example.test", ["INFO@example.test"]), "its own target"),
    (aliases.add, ("@absent.test", ["b@example.net"]), "not a domain of this host"),
    (aliases.remove, ("info@example.test",), "not an alias of this host"),
]


@pytest.mark.parametrize(("act", "arguments", "told"), REFUSALS)
def test_refusals_say_why_and_change_nothing(
    database: Database, act: Any, arguments: tuple[Any, ...], told: str
) -> None:
    def run(some: Any, *given: Any) -> None:
        database.write_now(lambda connection: some(connection, ROOT, *given))

    run(domains.add, "example.test", DomainTerms())
    run(accounts.add, "ann@example.test", SECRET)
    before = version(database), audit(database)
    with pytest.raises(Refused) as caught:
        run(act, *arguments)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (version(database), audit(database)) == before


def test_a_relay_domain_keeps_no_accounts(do: DO) -> None:
    view = do(domains.add, "relay.test", DomainTerms("relay", "mail.example.net"))
    assert (view.kind, view.next_hop) == ("relay", "mail.example.net:25")
    with pytest.raises(Refused, match="relay domain"):
        do(accounts.add, "ann@relay.test", SECRET)
    with pytest.raises(Refused, match="relay domain"):
        do(aliases.add, "@relay.test", ["ann@example.net"])
    do(domains.remove, "relay.test")
    assert do(domains.find) == []


def test_a_new_password_replaces_the_old_one(host: DO, each_database: Database) -> None:
    host(accounts.change_password, "ann@example.test", make_hashes("another password"))
    rows = each_database.read_now(lambda connection: connection.execute(select(schema.credential)).all())
    assert len(rows) == 1
    assert verify_hash("another password", rows[0].hash)


@pytest.mark.parametrize("password", ["", "short", "bell\abell\a", "x" * 2000])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(Refused):
        make_hashes(password)


def test_accounts_are_paged_and_searched(host: DO) -> None:
    host(domains.add, "other.test", DomainTerms())
    for name in ("b_b@example.test", "bob@example.test", "c@other.test"):
        host(accounts.add, name, SECRET)
    first = host(accounts.find, limit=2)
    rest = host(accounts.find, after=first[-1].key, limit=50)
    assert [str(view.address) for view in first + rest] == [
        "ann@example.test",
        "b_b@example.test",
        "bob@example.test",
        "c@other.test",
    ]
    assert [str(view.address) for view in host(accounts.find, search="B_")] == ["b_b@example.test"]
    assert [str(view.address) for view in host(accounts.find, search="c@OTHER")] == ["c@other.test"]
    assert host(accounts.count, domain_name="example.test") == 3
    assert [view.accounts for view in host(domains.find)] == [3, 1]
    assert [view.name for view in host(domains.find, search="other")] == ["other.test"]


def test_an_alias_grows_and_shrinks(host: DO) -> None:
    host(aliases.add, "Info@example.test", ["ann@example.test"])
    view = host(aliases.add, "info@example.test", ["Ben@Example.net", "ANN@example.test"])
    assert [str(target) for target in view.targets] == ["Ben@example.net", "ann@example.test"]
    with pytest.raises(Refused, match="is an alias already"):
        host(accounts.add, "info@example.test", SECRET)
    host(aliases.remove, "info@example.test", ["ben@example.net"])
    assert [str(target) for target in host(aliases.get, "info@example.test").targets] == ["ann@example.test"]
    host(aliases.remove, "info@example.test", ["ann@example.test"])
    assert host(aliases.find) == []
    host(aliases.add, "@example.test", ["ann@example.test"])
    assert [str(view.address) for view in host(aliases.find, domain_name="example.test")] == ["@example.test"]


def _give_mail(connection: Connection, number: int) -> None:
    connection.execute(insert(schema.content), [{"id": n, "size_octets": 3, "body": b"abc"} for n in (1, 2)])
    account_id = connection.scalar(select(schema.account.c.id).where(schema.account.c.local_part == "ann"))
    rows = [(account_id, 1), (account_id, 2), (number, 2)]
    connection.execute(
        insert(schema.maildrop_entry),
        [
            {
                "account_id": owner,
                "content_id": content_id,
                "unique_id": f"u{index}",
                "prefix": b"",
                "size_octets": 3,
                "received_at": 0,
            }
            for index, (owner, content_id) in enumerate(rows)
        ],
    )


def test_an_account_goes_with_its_mail_and_its_place_in_aliases(
    host: DO, each_database: Database, tmp_path: Any
) -> None:
    host(accounts.add, "ben@example.test", SECRET)
    ben = each_database.read_now(lambda connection: accounts.number_of(connection, ROOT, "ben@example.test")[0])
    each_database.write_now(lambda connection: _give_mail(connection, ben))
    host(aliases.add, "only@example.test", ["Ann@example.test"])
    host(aliases.add, "both@example.test", ["ann@example.test", "ben@example.test"])
    told = each_database.read_now(lambda connection: removal.preview(connection, ROOT, "ann@example.test"))
    done = removal.remove(each_database, ROOT, "ann@example.test", ContentStore(tmp_path / "content", 1000))
    assert done == told
    assert (done.messages, done.octets) == (2, 6)
    assert (done.aliases_kept, done.aliases_removed) == (("both@example.test",), ("only@example.test",))
    assert [str(view.address) for view in host(aliases.find)] == ["both@example.test"]
    left = each_database.read_now(lambda connection: connection.scalars(select(schema.content.c.id)).all())
    assert left == [2]  # Ben still has it
    assert each_database.read_now(lambda connection: connection.scalar(select(func.count(schema.credential.c.id)))) == 1
    with pytest.raises(Refused, match="not an account"):
        host(accounts.get, "ann@example.test")
