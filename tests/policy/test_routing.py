from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mail.lookup import Answer, DnsTrouble, MxRecord, NoData, NoSuchDomain
from mailstack.policy.routing import choose_hosts, interleave, is_prohibited


def keep(_hosts):
    return None


def choose(*records, shuffle=keep):
    return choose_hosts("example.org", Answer(tuple(MxRecord(*record) for record in records)), "us.example", shuffle)


def test_by_preference_and_shuffled_within():
    assert choose((20, "c"), (10, "a"), (10, "b")) == ("a", "b", "c")
    assert choose((20, "c"), (10, "a"), (10, "b"), shuffle=list.reverse) == ("b", "a", "c")


def test_without_mx_the_domain_itself():
    assert choose_hosts("example.org", NoData(), "us.example", keep) == ("example.org",)


@pytest.mark.parametrize(
    ("lookup", "words"),
    [
        (NoSuchDomain(), "550 5.1.2"),
        (DnsTrouble("SERVFAIL"), "451 4.4.3"),
        (Answer((MxRecord(0, ""),)), "556 5.1.10"),
        (Answer((MxRecord(5, "us.example"), MxRecord(5, "b"), MxRecord(9, "c"))), "554 5.4.6"),
    ],
)
def test_no_way(lookup, words):
    assert str(choose_hosts("example.org", lookup, "US.example", keep)).startswith(words)


def test_a_null_mx_beside_others_means_nothing():
    assert choose((0, ""), (10, "a")) == ("a",)


def test_as_backup_mx_only_better_hosts_are_tried():
    assert choose((10, "a"), (20, "us.example"), (20, "b"), (30, "c")) == ("a",)


def test_families_in_turn():
    assert interleave(["6a", "6b", "6c"], ["4a"]) == ("6a", "4a", "6b", "6c")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"])
def test_prohibited_in_any_form(address):
    assert is_prohibited(address, [ip_network("127.0.0.0/8"), ip_network("::1/128"), ip_network("0.0.0.0/8")])


def test_others_are_not_prohibited():
    assert not is_prohibited("192.0.2.1", [ip_network("127.0.0.0/8"), ip_network("::1/128")])
    assert not is_prohibited("127.0.0.1", [])


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", "c", "us.example"])), min_size=1))
def test_never_ourselves_nor_what_is_no_better(records):
    chosen = choose(*records)
    ours = min((preference for preference, host in records if host == "us.example"), default=99)
    expected = {host for preference, host in records if preference < ours}
    assert set(chosen if isinstance(chosen, tuple) else ()) == expected
