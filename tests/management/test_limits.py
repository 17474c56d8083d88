"""Sending limits as an administrator sets and sees them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, select

from mailstack.management import accounts, domains, freezing, limits, removal
from mailstack.management.actor import Actor, Refused
from mailstack.management.domains import DomainTerms
from mailstack.policy.limits import Over, Per, Rule, Used
from mailstack.store import schema
from mailstack.store.acceptance import accept_many
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.passwords import PasswordHashes
from mailstack.store.submissions import Submitter
from mailstack.store.usage import add_usage
from tests.store.letters import letter, release, remote

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


def test_a_rule_per_message_caps_recipients_and_no_more(host: Database) -> None:
    rule = Rule("*", Per.MESSAGE, None, 50, Over.REFUSE)
    host.write_now(lambda connection: limits.set_rule(connection, ROOT, rule))
    [use] = host.read_now(lambda connection: limits.show(connection, ROOT, "*"))
    assert (use.rule, use.percent, use.frees_at) == (rule, 0, None)
    for wrong in (Rule("*", Per.MESSAGE, 1, 50, Over.REFUSE), Rule("*", Per.MESSAGE, None, 50, Over.HOLD)):
        with pytest.raises(Refused, match="give --recipients only"):
            host.write_now(lambda connection, rule=wrong: limits.set_rule(connection, ROOT, rule))  # type: ignore[misc]


def test_pages_of_rules_come_in_order(host: Database) -> None:
    for scope in ("*", "example.test", "ann@example.test"):
        set_rule(host, scope)
        set_rule(host, scope, Per.MINUTE)
    first = host.read_now(lambda connection: limits.find(connection, ROOT, limit=4))
    last = first[-1].rule
    rest = host.read_now(lambda connection: limits.find(connection, ROOT, after=(last.scope, last.per), limit=4))
    found = [(use.rule.scope, use.rule.per) for use in (*first, *rest)]
    assert found == [(s, p) for s in ("*", "ann@example.test", "example.test") for p in (Per.MINUTE, Per.HOUR)]
    only = host.read_now(lambda connection: limits.find(connection, ROOT, search="ann"))
    assert {use.rule.scope for use in only} == {"ann@example.test"}


def submit(database: Database, queue_id: str, *recipients: str, frozen_why: str | None = None) -> None:
    def work(connection: Connection) -> None:
        number, _ = accounts.number_of(connection, ROOT, "ann@example.test")
        rules = tuple(limits.applying(connection, ROOT, "ann@example.test"))
        who = Submitter(number, 1, "ann@example.test", rules, frozen_why)
        now = schema.micros(datetime.now(UTC))
        accept_many(connection, [letter(queue_id, *map(remote, recipients), submitter=who, created_at=now)])

    database.write_now(work)


def test_a_panel_sees_what_is_used_and_held_and_who_sends_most(host: Database) -> None:
    set_rule(host, "ann@example.test", recipients=2)
    submit(host, "M1", "a@far.test", "b@far.test", "c@far.test")

    def read(act: Any, **options: Any) -> Any:
        return host.read_now(lambda connection: act(connection, ROOT, **options))

    [held] = read(limits.held)
    assert (held.address, held.deliveries, held.is_frozen) == ("ann@example.test", 1, False)
    assert held.why == "limit: 2 recipients per hour for ann@example.test"
    [top] = read(limits.top_senders)
    assert (top.address, top.used, top.nearest.percent) == ("ann@example.test", Used(1, 2, 2), 100)
    [use] = read(limits.of_account, address="ann@example.test")
    assert (use.used_recipients, use.used_first_time, use.account) == (2, 2, "ann@example.test")
    stranger = Actor("sven", "192.0.2.1", domains=frozenset({"other.test"}))
    assert host.read_now(lambda connection: limits.held(connection, stranger)) == []
    assert host.read_now(lambda connection: limits.top_senders(connection, stranger)) == []


def test_what_was_held_for_a_removed_account_waits_for_an_administrator(host: Database, tmp_path: Any) -> None:
    set_rule(host, "ann@example.test", recipients=0)
    submit(host, "M1", "a@far.test")
    removal.remove(host, ROOT, "ann@example.test", ContentStore(tmp_path / "content", 1000))
    [row] = host.read_now(lambda connection: connection.execute(select(schema.delivery)).all())
    assert (row.state, row.held_for) == ("held", None)
    assert host.write_now(lambda connection: release(connection, lambda _: [], row.created_at)) == []


def test_a_frozen_account_s_mail_is_dropped_in_one_act(host: Database, tmp_path: Any) -> None:
    submit(host, "M1", "queued@far.test")
    host.write_now(lambda connection: freezing.freeze(connection, ROOT, "ann@example.test", "a burst"))
    submit(host, "M2", "new@far.test", frozen_why="a burst")
    [frozen] = host.read_now(lambda connection: freezing.find(connection, ROOT))
    assert (frozen.address, frozen.why, frozen.held) == ("ann@example.test", "a burst", 2)
    contents = ContentStore(tmp_path / "content", 1000)
    assert freezing.drop_held(host, ROOT, "ann@example.test", contents) == 2
    host.write_now(lambda connection: freezing.unfreeze(connection, ROOT, "ann@example.test"))
    states = host.read_now(lambda connection: connection.scalars(select(schema.delivery.c.state)).all())
    assert states == ["failed", "failed"]
    acts = host.read_now(lambda connection: connection.scalars(select(schema.audit_entry.c.act)).all())
    assert acts[-3:] == ["account.freeze", "account.drop_held", "account.unfreeze"]


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
