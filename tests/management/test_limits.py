"""Sending limits as an administrator sets and sees them."""

from datetime import UTC, datetime

import pytest

from mailstack.management import accounts, domains, limits
from mailstack.management.actor import Actor, Refused
from mailstack.management.domains import DomainTerms
from mailstack.policy.limits import Over, Per, Rule
from mailstack.store.database import Database
from mailstack.store.passwords import PasswordHashes
from mailstack.store.usage import add_usage

ROOT = Actor("ann", "command line", all_domains=True)


@pytest.fixture
def host(each_database: Database) -> Database:
    def work(connection: object) -> None:
        domains.add(connection, ROOT, "example.test", DomainTerms())  # type: ignore[arg-type]
        accounts.add(connection, ROOT, "ann@example.test", PasswordHashes("h", "s"))  # type: ignore[arg-type]

    each_database.write_now(work)
    return each_database


def set_rule(database: Database, scope: str, per: Per = Per.HOUR, recipients: int | None = 5) -> Rule:
    rule = Rule(scope, per, None, recipients, Over.HOLD)
    return database.write_now(lambda connection: limits.set_rule(connection, ROOT, rule))


def test_a_rule_replaces_the_one_of_its_window(host: Database) -> None:
    set_rule(host, "ANN@example.test", recipients=5)
    set_rule(host, "ann@example.test", recipients=7)
    set_rule(host, "ann@example.test", Per.MINUTE, 1)
    shown = host.read_now(lambda connection: limits.show(connection, ROOT, "ann@example.test"))
    assert [(use.rule.per, use.rule.recipients) for use in shown] == [(Per.MINUTE, 1), (Per.HOUR, 7)]
    assert host.write_now(lambda connection: limits.clear(connection, ROOT, "ann@example.test", Per.MINUTE)) == 1
    assert host.write_now(lambda connection: limits.clear(connection, ROOT, "ann@example.test")) == 1
    with pytest.raises(Refused, match="has no limit"):
        host.write_now(lambda connection: limits.clear(connection, ROOT, "ann@example.test"))


@pytest.mark.parametrize("scope", ["ann@example.test", "example.test", "each@example.test", "*"])
def test_what_is_used_is_shown(host: Database, scope: str) -> None:
    set_rule(host, scope, recipients=4)
    number, _ = host.read_now(lambda connection: accounts.number_of(connection, ROOT, "ann@example.test"))
    now = int(datetime.now(UTC).timestamp())
    row = {"account_id": number, "domain_id": 1, "second": now, "messages": 2, "recipients": 4, "first_time": 0}
    host.write_now(lambda connection: add_usage(connection, [row]))
    [use] = host.read_now(lambda connection: limits.show(connection, ROOT, scope))
    assert (use.rule.scope, use.used_messages, use.used_recipients) == (scope, 2, 4)
    assert use.frees_at is not None
    assert 3590 < use.frees_at.timestamp() - now < 3610


def test_an_account_has_its_own_rules_first(host: Database) -> None:
    for scope in ("*", "example.test", "ann@example.test"):
        set_rule(host, scope)
    set_rule(host, "*", Per.DAY)
    rules = host.read_now(lambda connection: limits.applying(connection, ROOT, "ann@example.test"))
    assert {(rule.scope, rule.per) for rule in rules} == {
        ("ann@example.test", Per.HOUR),
        ("example.test", Per.HOUR),
        ("*", Per.DAY),
    }


@pytest.mark.parametrize(
    ("scope", "recipients", "told"),
    [
        ("everybody", 5, "is no scope"),
        ("absent.test", 5, "not a domain of this host"),
        ("each@absent.test", 5, "not a domain of this host"),
        ("ben@example.test", 5, "not an account of this host"),
        ("ann@example.test", None, "needs a cap"),
        ("ann@example.test", -1, "is no cap"),
    ],
)
def test_refusals(host: Database, scope: str, recipients: int | None, told: str) -> None:
    with pytest.raises(Refused, match=told):
        set_rule(host, scope, recipients=recipients)
