"""Where mail goes, as the directory and the settings say."""

import pytest

from mailstack.config import Outbound
from mailstack.delivery.outgoing import NextHop
from mailstack.queue.routes import LOCAL, Routes, split_host
from mailstack.store.directory import Directory, Domain, DomainKind

OURS = Domain(1, "ours.example", DomainKind.LOCAL, None, None, None)
BACKED = Domain(2, "backed.example", DomainKind.RELAY, "[2001:db8::1]:2525", None, None)


def routes(**settings) -> Routes:
    directory = Directory(domains=[OURS, BACKED])
    return Routes(Outbound(**settings), lambda: directory, "secret")


def test_ours_stays_here_and_a_backed_up_domain_goes_to_its_next_hop_even_with_a_smarthost():
    for where in (routes(), routes(smarthost="relay.example")):
        assert where.route("ours.example") is LOCAL
        assert where.route("") is LOCAL
        assert where.route("backed.example").next_hop == NextHop.host("2001:db8::1", 2525)


def test_the_world_goes_by_mx_or_by_the_smarthost():
    by_mx = routes().route("else.example")
    assert (by_mx.next_hop, by_mx.is_shared) == (NextHop.mx("else.example"), False)
    without_login = routes(smarthost="relay.example:587").route("else.example")
    assert (without_login.next_hop, without_login.is_shared) == (NextHop.smarthost("relay.example", 587), True)
    with_login = routes(smarthost="relay.example", smarthost_user="u").route("else.example")
    assert with_login.next_hop == NextHop.smarthost("relay.example", None, "u", "secret")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mx.example", ("mx.example", None)),
        ("mx.example:2525", ("mx.example", 2525)),
        ("192.0.2.1:25", ("192.0.2.1", 25)),
        ("[2001:db8::1]:25", ("2001:db8::1", 25)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("2001:db8::1", ("2001:db8::1", None)),
    ],
)
def test_a_host_with_and_without_port(text, found):
    assert split_host(text) == found
