"""App passwords, forwards and vacation replies: what is kept, what is refused, and that owners have their own only."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from mailstack.mail.address import parse_address
from mailstack.management import accounts, app_passwords, domains, forwards, vacations
from mailstack.management.actor import Actor, Refused
from mailstack.management.domains import DomainTerms
from mailstack.management.vacations import Vacation
from mailstack.store.database import Database
from mailstack.store.directory import load_directory
from mailstack.store.passwords import PasswordHashes, verify_hash
from mailstack.store.schema import audit_entry, credential, vacation_sent

ROOT = Actor("root", "command line", all_domains=True)
OWNER = Actor("ann@example.test", "192.0.2.1", account="ann@example.test")
ANN = "ann@example.test"
Do = Callable[..., Any]


@pytest.fixture
def do(each_database: Database) -> Do:
    """Run an act as Ann on her own account, in a transaction of its own."""

    def run(act: Do, *arguments: Any, by: Actor = OWNER, **options: Any) -> Any:
        return each_database.write_now(lambda connection: act(connection, by, *arguments, **options))

    run(domains.add, "example.test", DomainTerms(), by=ROOT)
    for name in (ANN, "ben@example.test"):
        run(accounts.add, name, PasswordHashes("hash", "scram"), by=ROOT)
    return run


def audit(database: Database) -> list[tuple[str, str, str]]:
    rows = select(audit_entry.c.actor, audit_entry.c.act, audit_entry.c.detail).where(audit_entry.c.object == ANN)
    return [tuple(row) for row in database.read_now(lambda c: c.execute(rows.order_by(audit_entry.c.id)).all())][1:]


def test_an_app_password_is_kept_as_a_hash_and_revoked_by_name(do: Do, each_database: Database) -> None:
    password = app_passwords.make_app_password()
    assert password != app_passwords.make_app_password()
    do(app_passwords.add, ANN, " phone ", password)
    do(app_passwords.add, ANN, "Tablet", app_passwords.make_app_password())
    assert [view.name for view in do(app_passwords.find, ANN)] == ["Tablet", "phone"]
    rows = each_database.read_now(
        lambda c: c.scalars(select(credential.c.hash).where(credential.c.name == "phone")).all()
    )
    assert password not in rows[0]
    assert verify_hash(password, rows[0])
    do(app_passwords.revoke, ANN, "phone")
    assert [view.name for view in do(app_passwords.find, ANN)] == ["Tablet"]
    assert audit(each_database) == [
        (ANN, "app_password.add", "phone"),
        (ANN, "app_password.add", "Tablet"),
        (ANN, "app_password.revoke", "phone"),
    ]


@pytest.mark.parametrize(
    ("name", "told"), [("", "1 to 64"), ("x" * 65, "1 to 64"), ("a\nb", "1 to 64"), ("phone", "already")]
)
def test_app_passwords_need_a_name_of_their_own(do: Do, name: str, told: str) -> None:
    do(app_passwords.add, ANN, "phone", "one")
    with pytest.raises(Refused, match=told):
        do(app_passwords.add, ANN, name, "two")
    with pytest.raises(Refused, match="no app password"):
        do(app_passwords.revoke, ANN, "other")


def test_app_passwords_are_bounded(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_passwords, "MAX_APP_PASSWORDS", 1)
    do(app_passwords.add, ANN, "phone", "one")
    with pytest.raises(Refused, match="revoke one"):
        do(app_passwords.add, ANN, "tablet", "two")


def test_forwards_are_set_anew_and_seen_by_mail_flow(do: Do, each_database: Database) -> None:
    view = do(forwards.change, ANN, ["Sam@Far.test", "ben@example.test", "SAM@far.test"], keeps_copy=False)
    assert [str(target) for target in view.targets] == ["SAM@far.test", "ben@example.test"]
    assert not view.keeps_copy
    directory = each_database.read_now(load_directory)
    assert directory is not None
    resolution = directory.resolve(parse_address(ANN))
    assert resolution is not None
    assert [str(account.address) for account in resolution.accounts] == ["ben@example.test"]
    assert [str(address) for address in resolution.remote] == ["SAM@far.test"]
    view = do(forwards.change, ANN, [], keeps_copy=False)
    assert (view.targets, view.keeps_copy) == ((), True)
    assert [entry[1:] for entry in audit(each_database)] == [
        ("account.forward", "SAM@far.test ben@example.test, no copy kept"),
        ("account.forward", "none"),
    ]


@pytest.mark.parametrize("target", ["nobody", "ann@example.test", "ANN+tag@example.test", "a@[192.0.2.1]"])
def test_forwards_to_nowhere_and_to_oneself_are_refused(do: Do, target: str) -> None:
    with pytest.raises(Refused):
        do(forwards.change, ANN, ["sam@far.test", target], keeps_copy=True)
    assert do(forwards.get, ANN).targets == ()


def test_a_vacation_reply_is_set_and_taken_back(do: Do, each_database: Database) -> None:
    assert do(vacations.get, ANN) is None
    wanted = Vacation("Away", "Back soon.\n", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    do(vacations.change, ANN, wanted)
    assert do(vacations.get, ANN) == Vacation("Away", "Back soon.", wanted.starts_at, wanted.ends_at)
    directory = each_database.read_now(load_directory)
    assert directory is not None
    assert directory.has_away
    told = {"account_id": 1, "address": "sam@far.test", "at": 1}
    each_database.write_now(lambda c: c.execute(vacation_sent.insert().values(told)))
    do(vacations.change, ANN, None)
    assert do(vacations.get, ANN) is None
    assert each_database.read_now(lambda c: c.execute(select(vacation_sent)).all()) == []
    assert [entry[1:] for entry in audit(each_database)] == [
        ("account.vacation", "from 2026-01-01 00:00 to 2026-02-01 00:00"),
        ("account.vacation", "none"),
    ]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Vacation("", " \n"), "needs a text"),
        (Vacation("", "x" * 10_001), "shorten"),
        (Vacation("x" * 201, "x"), "one line"),
        (Vacation("a\nb", "x"), "one line"),
        (Vacation("", "x", datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)), "before it starts"),
    ],
)
def test_vacation_replies_that_cannot_be(do: Do, wanted: Vacation, told: str) -> None:
    with pytest.raises(Refused, match=told):
        do(vacations.change, ANN, wanted)
