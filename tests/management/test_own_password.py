"""An owner's new password: the present one is asked, other sessions end, the one that asks stays."""

import pytest
from sqlalchemy import select

from mailstack.management import accounts, domains, own_password, sessions, sign_in
from mailstack.management.actor import Actor, Refused
from mailstack.management.acts import make_hashes
from mailstack.management.domains import DomainTerms
from mailstack.management.own_password import WrongPassword
from mailstack.store.database import Database
from mailstack.store.passwords import verify_hash
from mailstack.store.schema import credential

ROOT = Actor("root", "command line", all_domains=True)
ANN = "ann@example.test"
PASSWORD = "correct horse battery"


@pytest.fixture
def host(each_database: Database) -> Database:
    secret = make_hashes(PASSWORD)
    each_database.write_now(lambda c: domains.add(c, ROOT, "example.test", DomainTerms()))
    each_database.write_now(lambda c: accounts.add(c, ROOT, ANN, secret))
    return each_database


def kept(host: Database) -> str:
    return str(host.read_now(lambda c: c.scalar(select(credential.c.hash))))


def test_the_present_password_is_asked_and_other_sessions_end(host: Database) -> None:
    found = host.read_now(lambda c: sign_in.find_person(c, ANN))
    assert found is not None
    person = found[0]
    actor = person.actor("192.0.2.1")
    assert actor.account == ANN
    tokens = [host.write_now(lambda c: sessions.open_session(c, person, "192.0.2.1", "a test")) for _ in range(2)]
    mine = host.read_now(lambda c: sessions.find_session(c, tokens[0]))
    assert mine is not None
    with pytest.raises(WrongPassword):
        own_password.change(host, actor, "wrong", "another password", mine[0])
    with pytest.raises(Refused, match="characters"):
        own_password.change(host, actor, PASSWORD, "short", mine[0])
    assert verify_hash(PASSWORD, kept(host))
    own_password.change(host, actor, PASSWORD, "another password", mine[0])
    assert verify_hash("another password", kept(host))
    assert host.read_now(lambda c: sessions.find_session(c, tokens[0])) is not None
    assert host.read_now(lambda c: sessions.find_session(c, tokens[1])) is None


def test_who_owns_no_account_has_no_own_password(host: Database) -> None:
    with pytest.raises(Refused, match="own no account"):
        own_password.change(host, ROOT, PASSWORD, "another password")


def test_a_new_password_by_an_administrator_ends_all_sessions(host: Database) -> None:
    found = host.read_now(lambda c: sign_in.find_person(c, ANN))
    assert found is not None
    token = host.write_now(lambda c: sessions.open_session(c, found[0], "192.0.2.1", "a test"))
    secret = make_hashes("another password")
    host.write_now(lambda c: accounts.change_password(c, ROOT, ANN, secret))
    assert host.read_now(lambda c: sessions.find_session(c, token)) is None
