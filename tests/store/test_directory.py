"""Who has an address: exact, by alias, by tag, by catch-all; and a snapshot that follows the database."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, update
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstack.mail.address import Address, parse_address
from mailstack.policy.limits import Over, Per, Rule, rules_for
from mailstack.store import schema
from mailstack.store.database import Database, StoreTrouble
from mailstack.store.directory import (
    Account,
    AccountState,
    Directory,
    DirectoryKeeper,
    Domain,
    DomainKind,
    bump_version,
    load_directory,
)
from mailstack.store.directory_rows import FOR_EVER
from tests.store.rows import add_account, add_alias, add_domain

HOME = Domain(1, "example.org", DomainKind.LOCAL, None, None, None)
OTHER = Domain(2, "other.example", DomainKind.LOCAL, None, None, None)
RELAYED = Domain(3, "relayed.example", DomainKind.RELAY, "inside:25", None, None)
SUSPENDED = AccountState.SUSPENDED


def account(number: int, text: str, state: AccountState = AccountState.ACTIVE) -> Account:
    address = parse_address(text)
    return Account(number, address, {d.name: d for d in (HOME, OTHER)}[address.domain], state, None)


ALICE, BOB, CAROL = (
    account(number, text)
    for number, text in ((1, "alice@example.org"), (2, "bob@example.org"), (3, "carol@other.example"))
)


def directory(aliases: dict[str, list[str]] | None = None, accounts=(ALICE, BOB, CAROL), hostname="") -> Directory:
    parsed = {key: tuple(parse_address(target) for target in targets) for key, targets in (aliases or {}).items()}
    return Directory(1, (HOME, OTHER, RELAYED), accounts, parsed, hostname=hostname)


def resolve(there: Directory, text: str) -> tuple[list[str], list[str]] | None:
    resolution = there.resolve(parse_address(text))
    if resolution is None:
        return None
    return [str(a.address) for a in resolution.accounts], [str(a) for a in resolution.remote]


@pytest.mark.parametrize(
    ("address", "accounts", "remote"),
    [
        ("alice@example.org", ["alice@example.org"], []),
        ("ALICE@Example.ORG", ["alice@example.org"], []),
        ("alice+news+x@example.org", ["alice@example.org"], []),
        ("team@example.org", ["alice@example.org", "carol@other.example"], ["Dan@far.example"]),
        ("team+tag@example.org", ["alice@example.org", "carol@other.example"], ["Dan@far.example"]),
        ("all@example.org", ["alice@example.org", "carol@other.example", "bob@example.org"], ["Dan@far.example"]),
        ("loop@example.org", ["bob@example.org"], []),
        ("half@example.org", ["bob@example.org"], []),
        ("sales+eu@example.org", ["carol@other.example"], []),
        ("anything@other.example", ["bob@example.org"], []),
        ("carol@other.example", ["carol@other.example"], []),
        ("kept@relayed.example", [], ["kept@relayed.example"]),
        ("torelay@example.org", [], ["kept@relayed.example"]),
    ],
)
def test_an_address_leads_to(address: str, accounts: list[str], remote: list[str]) -> None:
    there = directory(
        {
            "team@example.org": ["alice@example.org", "carol@other.example", "Dan@far.example"],
            "all@example.org": ["team@example.org", "bob@example.org", "alice+x@example.org", "dan@far.example"],
            "loop@example.org": ["loop@example.org", "pool@example.org"],
            "pool@example.org": ["loop@example.org", "bob@example.org"],
            "half@example.org": ["nobody@example.org", "bob@example.org"],
            "sales@example.org": ["alice@example.org"],
            "sales+eu@example.org": ["carol@other.example"],
            "@other.example": ["bob@example.org"],
            "torelay@example.org": ["kept@relayed.example"],
        }
    )
    assert resolve(there, address) == (accounts, remote)


@pytest.mark.parametrize(
    "address", ["nobody@example.org", "dangling@example.org", "circle@example.org", "+x@example.org"]
)
def test_nobody_has(address: str) -> None:
    there = directory({"dangling@example.org": ["nobody@example.org"], "circle@example.org": ["circle@example.org"]})
    assert resolve(there, address) is None
    assert there.resolve(Address("alice", "")) is None


def test_deep_and_wide_aliases_end() -> None:
    aliases = {f"a{n}@example.org": [f"a{n + 1}@example.org", "a0@example.org"] for n in range(20_000)}
    aliases["a20000@example.org"] = ["bob@example.org"]
    assert resolve(directory(aliases), "a0@example.org") == (["bob@example.org"], [])


_NAMES = st.sampled_from([f"n{n}@example.org" for n in range(6)] + ["alice@example.org", "x@far.example"])


@given(st.dictionaries(_NAMES, st.lists(_NAMES, min_size=1, max_size=4)), _NAMES)
def test_resolving_ends_without_duplicates_and_is_never_empty(aliases: dict[str, list[str]], name: str) -> None:
    found = resolve(directory(aliases), name)
    if found is not None:
        accounts, remote = found
        assert accounts or remote
        assert len(set(accounts)) == len(accounts)
        assert len(set(remote)) == len(remote)


# --- postmaster ---


def test_postmaster_is_never_refused() -> None:
    sleeping = account(9, "old@example.org", SUSPENDED)
    assert resolve(directory(accounts=(sleeping, ALICE, BOB)), "postmaster@example.org") == (["alice@example.org"], [])
    assert resolve(directory(accounts=(sleeping,)), "Postmaster@example.org") == (["old@example.org"], [])
    assert resolve(directory(accounts=(CAROL,)), "postmaster@example.org") == (["carol@other.example"], [])
    assert resolve(directory({"postmaster@example.org": ["gone@example.org"]}), "postmaster@example.org") == (
        ["alice@example.org"],
        [],
    )
    assert resolve(directory({"@example.org": ["bob@example.org"]}), "postmaster@example.org") == (
        ["bob@example.org"],
        [],
    )
    assert resolve(directory({"postmaster@example.org": ["carol@other.example"]}), "postmaster@example.org") == (
        ["carol@other.example"],
        [],
    )


def test_postmaster_without_a_domain_is_that_of_this_host() -> None:
    def bare(there: Directory) -> str:
        resolution = there.resolve(Address("PostMaster", ""))
        assert resolution
        return str(resolution.accounts[0].address)

    assert bare(directory()) == "alice@example.org"
    assert bare(directory(hostname="mx.other.example")) == "carol@other.example"
    assert bare(directory(hostname="mx.relayed.example")) == "alice@example.org"
    assert Directory().resolve(Address("postmaster", "")) is None


# --- sending ---


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("alice@example.org", True),
        ("Alice+shop@example.org", True),
        ("team@example.org", True),
        ("bob@example.org", False),
        ("news@example.org", False),
        ("whatever@other.example", True),
        ("carol@other.example", False),
        ("alice@far.example", False),
        ("alice@relayed.example", False),
    ],
)
def test_an_account_may_send_as(address: str, may: bool) -> None:
    there = directory(
        {
            "team@example.org": ["bob@example.org", "staff@example.org"],
            "staff@example.org": ["alice@example.org"],
            "news@example.org": ["bob@example.org", "alice@far.example"],
            "@other.example": ["alice@example.org"],
        }
    )
    assert there.may_send_as(ALICE, parse_address(address)) is may


# --- the snapshot ---


def fill(connection: Connection) -> None:
    add_domain(connection, "example.org", expire_days=30, login_delay_seconds=60)
    add_domain(connection, "relayed.example", "relay", next_hop="inside:2525")
    add_account(connection, "alice@example.org", quota_octets=5_000_000_000)
    add_account(connection, "bob@example.org", state="suspended")
    add_alias(connection, "team@example.org", "alice@example.org", "Dan@far.example")
    add_alias(connection, "@example.org", "bob@example.org")
    rule = {"scope": "*", "per": "hour", "messages": None, "recipients": 100, "over": "hold"}
    connection.execute(insert(schema.limit_rule).values(rule))
    bump_version(connection)


def test_the_snapshot_says_what_the_database_says(each_database: Database) -> None:
    each_database.write_now(fill)
    there = each_database.read_now(load_directory)
    assert there is not None
    assert there.version == 2
    domain = there.domain("example.org")
    assert domain is not None
    assert (domain.kind, domain.next_hop, domain.expire_days, domain.login_delay_seconds) == ("local", None, 30, 60)
    relayed = there.domain("relayed.example")
    assert relayed is not None
    assert relayed.next_hop == "inside:2525"
    alice = there.account(parse_address("Alice@example.org"))
    assert alice is not None
    assert (alice.quota_octets, alice.state, alice.domain) == (5_000_000_000, AccountState.ACTIVE, domain)
    assert there.account_by_id(alice.id) is alice
    assert there.account(parse_address("alice+tag@example.org")) is None
    assert resolve(there, "team@example.org") == (["alice@example.org"], ["Dan@far.example"])
    assert resolve(there, "who@example.org") == (["bob@example.org"], [])
    assert there.limit_rules == (Rule("*", Per.HOUR, None, 100, Over.HOLD),)
    assert each_database.read_now(lambda connection: load_directory(connection, known=Directory(2))) is None


async def eventually(clock: Clock, is_so: Callable[[], bool]) -> None:
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    for _ in range(200):
        if is_so():
            return
        clock.advance(0.5)
        await deferLater(reactor, 0.01)
    raise AssertionError("it did not come")


@pytest_twisted.ensureDeferred
async def test_the_keeper_follows_changes(each_database: Database) -> None:
    clock = Clock()
    keeper = DirectoryKeeper(each_database, clock, hostname="mx.example.org")
    await keeper.start()
    assert keeper.current.domain("example.org") is None
    await each_database.write(fill)
    await eventually(clock, lambda: keeper.current.domain("example.org") is not None)
    snapshot = keeper.current
    clock.advance(0.5)
    await keeper.refresh()
    assert keeper.current is snapshot  # nothing has changed: nothing is rebuilt
    await each_database.write(lambda c: (add_account(c, "new@example.org"), bump_version(c)))
    await keeper.refresh()
    assert keeper.current.account(parse_address("new@example.org"))
    assert snapshot.account(parse_address("new@example.org")) is None
    keeper.stop()
    assert not clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_the_keeper_serves_the_last_snapshot_while_the_database_fails(database: Database) -> None:
    await database.write(fill)
    clock = Clock()
    keeper = DirectoryKeeper(database, clock)
    await keeper.start()
    works, database.read = database.read, _failing  # type: ignore[method-assign]
    clock.advance(0.5)
    clock.advance(0.5)
    with pytest.raises(StoreTrouble):
        await keeper.refresh()
    assert keeper.current.domain("example.org")
    database.read = works  # type: ignore[method-assign]
    await database.write(lambda c: (add_domain(c, "late.example"), bump_version(c)))
    await eventually(clock, lambda: keeper.current.domain("late.example") is not None)
    keeper.stop()


def _failing(work: object) -> Deferred[None]:
    raise StoreTrouble("gone")


def test_fifty_thousand_accounts_load_fast(database: Database, tmp_path: Path) -> None:
    def many(connection: Connection) -> None:
        domain_id = add_domain(connection, "example.org")
        rows = [{"domain_id": domain_id, "local_part": f"user{n}", "created_at": 0} for n in range(50_000)]
        connection.execute(insert(schema.account), rows)

    database.write_now(many)
    begin = time.process_time()
    there = database.read_now(load_directory)
    assert time.process_time() - begin < 3  # 0.3 s on a free machine
    assert there is not None
    assert resolve(there, "user49999@example.org") == (["user49999@example.org"], [])


def test_the_rules_of_an_account_are_found_by_scope_as_if_all_were_read() -> None:
    domain = Domain(1, "x.test", DomainKind.LOCAL, None, None, None)
    account = Account(1, parse_address("a@x.test"), domain, AccountState.ACTIVE, None)
    scopes = ("b@x.test", "*", "y.test", "x.test", "a@x.test", "each@x.test", "each@y.test")
    rules = [Rule(scope, per, None, 5, Over.HOLD) for per in (Per.HOUR, Per.DAY) for scope in scopes]
    rules.append(Rule("*", Per.MINUTE, None, 5, Over.HOLD))
    directory = Directory(1, [domain], [account], {}, rules)
    assert directory.rules_of(account) == rules_for(rules, "a@x.test", "x.test")
    assert len(directory.rules_of(account)) == 7


def forwarding(*forwards: str, who: Account = ALICE, keeps_copy: bool = True, **changes: Any) -> Account:
    return replace(who, forwards=tuple(map(parse_address, forwards)), keeps_copy=keeps_copy, **changes)


@pytest.mark.parametrize(
    ("alice", "bob", "reached", "passed"),
    [
        (forwarding("sam@far.example"), BOB, (["alice@example.org"], ["sam@far.example"]), []),
        (forwarding("sam@far.example", keeps_copy=False), BOB, ([], ["sam@far.example"]), [1]),
        (forwarding("team@example.org", keeps_copy=False), BOB, (["bob@example.org"], []), [1]),
        (
            forwarding("bob@example.org"),
            forwarding("alice@example.org", who=BOB),
            (["alice@example.org", "bob@example.org"], []),
            [],
        ),
        (
            forwarding("bob@example.org", keeps_copy=False),
            forwarding("alice@example.org", who=BOB, keeps_copy=False),
            (["alice@example.org", "bob@example.org"], []),
            [],
        ),
        (forwarding("gone@example.org", keeps_copy=False), BOB, (["alice@example.org"], []), []),
        (forwarding("alice+x@example.org", keeps_copy=False), BOB, (["alice@example.org"], []), []),
        (forwarding("sam@far.example", keeps_copy=False, state=SUSPENDED), BOB, (["alice@example.org"], []), []),
    ],
)
def test_forwards_lead_on(
    alice: Account, bob: Account, reached: tuple[list[str], list[str]], passed: list[int]
) -> None:
    there = directory({"team@example.org": ["bob@example.org"]}, (alice, bob, CAROL))
    resolution = there.resolve(ALICE.address)
    assert resolution is not None
    assert resolve(there, "alice@example.org") == reached
    assert [account.id for account in resolution.passed] == passed


def test_forwards_give_no_right_to_send_as() -> None:
    there = directory(accounts=(forwarding("bob@example.org", keeps_copy=False), BOB, CAROL))
    assert not there.may_send_as(BOB, ALICE.address)
    assert there.may_send_as(ALICE, ALICE.address)


def test_an_address_of_ones_own() -> None:
    there = directory(
        {
            "ali@example.org": ["alice@example.org"],
            "team@example.org": ["alice@example.org", "bob@example.org"],
            "both@example.org": ["alice@example.org", "sam@far.example"],
        },
        (forwarding("bob@example.org", "sam@far.example"), BOB, CAROL),
    )
    own = ["alice@example.org", "Alice+x@example.org", "ali@example.org"]
    others = ["team@example.org", "both@example.org", "bob@example.org", "sam@far.example", "no@example.org"]
    assert [text for text in own + others if there.is_own(ALICE, parse_address(text))] == own


def test_who_is_away_and_what_is_forwarded_is_read(each_database: Database) -> None:
    def fill(connection: Connection) -> None:
        add_domain(connection, "example.org")
        ann = add_account(connection, "ann@example.org", keeps_copy=False)
        ben = add_account(connection, "ben@example.org")
        connection.execute(insert(schema.forward).values(account_id=ann, address="Sam@far.example"))
        connection.execute(insert(schema.vacation).values(account_id=ben, subject="", body="x", starts_at=5))

    each_database.write_now(fill)
    there = each_database.read_now(load_directory)
    assert there is not None
    ann, ben = (there.account(parse_address(f"{name}@example.org")) for name in ("ann", "ben"))
    assert ann is not None
    assert ben is not None
    assert (ann.forwards, ann.keeps_copy, ann.away) == ((Address("Sam", "far.example"),), False, None)
    assert (ben.forwards, ben.keeps_copy, ben.away) == ((), True, (5, FOR_EVER))
    assert there.has_away


def test_what_has_not_changed_is_taken_over(each_database: Database) -> None:
    def fill(connection: Connection) -> None:
        add_domain(connection, "example.org")
        for name in ("ann", "ben"):
            add_account(connection, f"{name}@example.org")

    each_database.write_now(fill)
    first = each_database.read_now(load_directory)
    assert first is not None
    assert each_database.read_now(lambda connection: load_directory(connection, known=first)) is None
    suspended = update(schema.account).where(schema.account.c.local_part == "ben").values(state="suspended")
    each_database.write_now(lambda connection: (connection.execute(suspended), bump_version(connection)))
    second = each_database.read_now(lambda connection: load_directory(connection, known=first))
    assert second is not None
    ann, ben = (parse_address(f"{name}@example.org") for name in ("ann", "ben"))
    assert second.account(ann) is first.account(ann)
    changed = second.account(ben)
    assert changed is not None
    assert changed.state is AccountState.SUSPENDED
