"""Each act × each role, as a table.

The roles: a superadministrator, the domain's own administrator and another's, the account's own owner and another one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailstack.management import (
    accounts,
    administrators,
    aliases,
    app_passwords,
    domains,
    forwards,
    freezing,
    limits,
    queue,
    removal,
    trace,
    vacations,
)
from mailstack.management.actor import Actor, Forbidden
from mailstack.management.domains import DomainTerms
from mailstack.management.queue import Selection
from mailstack.management.vacations import Vacation
from mailstack.policy.limits import Over, Per, Rule
from mailstack.store.content import ContentStore
from mailstack.store.database import Connection, Database
from mailstack.store.passwords import PasswordHashes

ROLES = {
    "all": Actor("root", "192.0.2.1", all_domains=True),
    "own": Actor("olga", "192.0.2.1", False, frozenset({"example.test"})),
    "stranger": Actor("sven", "192.0.2.1", False, frozenset({"other.test"})),
    "owner": Actor("ann@example.test", "192.0.2.1", account="ann@example.test"),
    "other owner": Actor("eve@example.test", "192.0.2.1", account="eve@example.test"),
}
SECRET = PasswordHashes("hash", "scram")
Work = Callable[[Connection, Actor], Any]


def rule(scope: str) -> Rule:
    return Rule(scope, Per.DAY, 5, None, Over.REFUSE)


OWN_DOMAIN: dict[str, Work] = {
    "domains.get": lambda c, a: domains.get(c, a, "example.test"),
    "accounts.add": lambda c, a: accounts.add(c, a, "ben@example.test", SECRET),
    "accounts.change_password": lambda c, a: accounts.change_password(c, a, "ann@example.test", SECRET),
    "accounts.set_state": lambda c, a: accounts.set_state(c, a, "ann@example.test", "suspended"),
    "accounts.set_quota": lambda c, a: accounts.set_quota(c, a, "ann@example.test", 5),
    "removal.preview": lambda c, a: removal.preview(c, a, "ann@example.test"),
    "removal.preview_alias": lambda c, a: removal.preview_alias(c, a, "info@example.test"),
    "account_import.read": lambda c, a: accounts.check_new(c, a, "ben@example.test"),
    "aliases.get": lambda c, a: aliases.get(c, a, "info@example.test"),
    "aliases.add": lambda c, a: aliases.add(c, a, "@example.test", ["ann@example.test"]),
    "aliases.change": lambda c, a: aliases.change(c, a, "info@example.test", ["sam@far.test"]),
    "aliases.remove": lambda c, a: aliases.remove(c, a, "info@example.test"),
    "limits.set account": lambda c, a: limits.set_rule(c, a, rule("ann@example.test")),
    "limits.set each": lambda c, a: limits.set_rule(c, a, rule("each@example.test")),
    "limits.clear account": lambda c, a: limits.clear(c, a, "ann@example.test"),
    "limits.show": lambda c, a: limits.show(c, a, "example.test"),
    "freezing.freeze": lambda c, a: freezing.freeze(c, a, "ann@example.test", "a burst"),
    "freezing.unfreeze": lambda c, a: freezing.unfreeze(c, a, "frozen@example.test"),
}
OWN_ACCOUNT: dict[str, Work] = {
    "accounts.get": lambda c, a: accounts.get(c, a, "ann@example.test"),
    "limits.applying": lambda c, a: limits.applying(c, a, "ann@example.test"),
    "app_passwords.add": lambda c, a: app_passwords.add(c, a, "ann@example.test", "phone", "secret"),
    "app_passwords.find": lambda c, a: app_passwords.find(c, a, "ann@example.test"),
    "app_passwords.revoke": lambda c, a: app_passwords.revoke(c, a, "ann@example.test", "laptop"),
    "forwards.get": lambda c, a: forwards.get(c, a, "ann@example.test"),
    "forwards.change": lambda c, a: forwards.change(c, a, "ann@example.test", ["sam@far.test"], keeps_copy=True),
    "vacations.get": lambda c, a: vacations.get(c, a, "ann@example.test"),
    "vacations.change": lambda c, a: vacations.change(c, a, "ann@example.test", Vacation("", "Away.")),
    "limits.of_account": lambda c, a: limits.of_account(c, a, "ann@example.test"),
    "limits.held": lambda c, a: limits.held(c, a, address="ann@example.test"),
}
WHOLE_HOST: dict[str, Work] = {
    "domains.add": lambda c, a: domains.add(c, a, "new.test", DomainTerms()),
    "domains.change": lambda c, a: domains.change(c, a, "example.test", DomainTerms(expire_days=3)),
    "domains.remove": lambda c, a: domains.remove(c, a, "empty.test"),
    "removal.preview_domain": lambda c, a: removal.preview_domain(c, a, "example.test"),
    "limits.set *": lambda c, a: limits.set_rule(c, a, rule("*")),
    "limits.set domain": lambda c, a: limits.set_rule(c, a, rule("example.test")),
    "limits.clear domain": lambda c, a: limits.clear(c, a, "example.test"),
    "administrators.add": lambda c, a: administrators.add(c, a, "paul", "hash"),
    "administrators.find": administrators.find,
    "administrators.remove": lambda c, a: administrators.remove(c, a, "olga"),
    "administrators.change_password": lambda c, a: administrators.change_password(c, a, "root", "hash"),
}
TABLE = [(name, work, {"all", "own"}) for name, work in OWN_DOMAIN.items()]
TABLE += [(name, work, {"all", "own", "owner"}) for name, work in OWN_ACCOUNT.items()]
TABLE += [(name, work, {"all"}) for name, work in WHOLE_HOST.items()]


@pytest.fixture
def host(database: Database) -> Database:
    root = ROLES["all"]

    def fill(connection: Connection) -> None:
        for name in ("example.test", "other.test", "empty.test"):
            domains.add(connection, root, name, DomainTerms())
        for name in ("ann@example.test", "eve@example.test", "frozen@example.test"):
            accounts.add(connection, root, name, SECRET)
        app_passwords.add(connection, root, "ann@example.test", "laptop", "secret")
        freezing.freeze(connection, root, "frozen@example.test", "a burst")
        aliases.add(connection, root, "info@example.test", ["ann@example.test"])
        administrators.add(connection, root, "root", "hash")
        administrators.add(connection, root, "olga", "hash", ("example.test",))
        for scope in ("example.test", "ann@example.test"):
            limits.set_rule(connection, root, rule(scope))

    database.write_now(fill)
    return database


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("name", "work", "allowed"), TABLE, ids=[row[0] for row in TABLE])
def test_acts_by_role(host: Database, role: str, name: str, work: Work, allowed: set[str]) -> None:
    if role in allowed:
        host.write_now(lambda connection: work(connection, ROLES[role]))
    else:
        with pytest.raises(Forbidden):
            host.write_now(lambda connection: work(connection, ROLES[role]))


def test_lists_show_what_is_theirs(host: Database) -> None:
    def seen(act: Callable[..., list[Any]], role: str) -> int:
        return len(host.read_now(lambda connection: act(connection, ROLES[role])))

    assert [seen(domains.find, role) for role in ROLES] == [3, 1, 1, 0, 0]
    assert [seen(accounts.find, role) for role in ROLES] == [3, 3, 0, 0, 0]
    assert [seen(aliases.find, role) for role in ROLES] == [1, 1, 0, 0, 0]
    assert [seen(limits.find, role) for role in ROLES] == [2, 2, 0, 0, 0]
    assert [seen(freezing.find, role) for role in ROLES] == [1, 1, 0, 0, 0]


def test_an_administrator_may_set_their_own_password(host: Database) -> None:
    host.write_now(lambda connection: administrators.change_password(connection, ROLES["own"], "olga", "new"))
    view = host.read_now(lambda connection: administrators.get(connection, "olga"))
    assert (view.hash, view.domains, view.all_domains) == ("new", ("example.test",), False)
    assert view.as_actor("192.0.2.1") == ROLES["own"]


def test_a_stranger_removes_no_account(host: Database, tmp_path: Path) -> None:
    contents = ContentStore(tmp_path / "content", 1000)
    with pytest.raises(Forbidden):
        removal.remove(host, ROLES["stranger"], "ann@example.test", contents)
    removal.remove(host, ROLES["own"], "ann@example.test", contents)


def test_a_queue_of_nothing_and_a_trace_of_nobody(host: Database) -> None:
    for actor in ROLES.values():
        assert host.read_now(lambda connection, who=actor: queue.find(connection, who, Selection())) == []  # type: ignore[misc]
        assert host.read_now(lambda connection, who=actor: trace.trace(connection, who, "nobody@x.test")) == []  # type: ignore[misc]
