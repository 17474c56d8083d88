import socket

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from mailstack.mail.lookup import Answer, DnsTrouble, MxRecord, NoData, NoSuchDomain, SenderDomain
from mailstack.net import resolver as resolver_module
from mailstack.net.resolver import Resolver
from mailstack.net.system_dns import parse_server, read_hosts, read_nameservers
from tests.net.fake_dns import FakeDns

ZONE = {
    ("example.org", "MX"): ["10 MX1.example.org.", "20 mx2.example.org."],
    ("mx1.example.org", "A"): ["192.0.2.1", "192.0.2.2"],
    ("mx1.example.org", "AAAA"): ["2001:db8::1"],
    ("null.example", "MX"): ["0 ."],
    ("gone.example", "*"): "NXDOMAIN",
    ("broken.example", "*"): "SERVFAIL",
    ("alias.example", "MX"): ["@alias.example CNAME example.org.", "@example.org MX 5 there.example."],
    ("bare.example", "A"): ["@bare.example CNAME mx1.example.org."],
    ("circle.example", "A"): ["@circle.example CNAME circle2.example.", "@circle2.example CNAME circle.example."],
    ("big.example", "MX"): "truncate",
    ("tcp"): [f"{n} a-rather-long-host-name-{n}.example.org." for n in range(80)],
    ("halfbroken.example", "A"): ["192.0.2.9"],
    ("halfbroken.example", "AAAA"): "SERVFAIL",
    ("silent.example", "*"): "silent",
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx1.example.org."],
}


@pytest.fixture
def server():
    fake = FakeDns(ZONE)
    yield fake
    fake.close()


@pytest.fixture
def resolver(server, monkeypatch):
    monkeypatch.setattr(resolver_module, "TRY_SECONDS", (0.3,))
    return Resolver(reactor, [server.server])


@pytest_twisted.ensureDeferred
async def test_mx_with_edns_and_from_the_cache(resolver, server):
    expected = Answer((MxRecord(10, "mx1.example.org"), MxRecord(20, "mx2.example.org")))
    assert await resolver.mx("example.org") == expected
    assert await resolver.mx("Example.ORG") == expected
    assert server.asked["example.org", "MX", "udp"] == 1
    assert server.saw_edns


@pytest_twisted.ensureDeferred
async def test_equal_questions_are_asked_once(resolver, server):
    asking = [Deferred.fromCoroutine(resolver.mx("example.org")) for _ in range(5)]
    assert len(await gatherResults(asking)) == 5
    assert server.asked["example.org", "MX", "udp"] == 1


@pytest_twisted.ensureDeferred
async def test_addresses_of_both_families_in_turn(resolver):
    found = await resolver.addresses("mx1.example.org")
    assert isinstance(found, Answer)
    assert found.records[0] == "2001:db8::1"
    assert set(found.records[1:]) == {"192.0.2.1", "192.0.2.2"}


@pytest_twisted.ensureDeferred
async def test_what_is_not_there_and_what_cannot_be_told(resolver):
    assert await resolver.mx("gone.example") == NoSuchDomain()
    assert await resolver.mx("mx1.example.org") == NoData()
    assert "SERVFAIL" in (await resolver.mx("broken.example")).why
    silent = await resolver.mx("silent.example")
    assert isinstance(silent, DnsTrouble)
    assert "gave no answer within" in silent.why
    assert await resolver.mx("x" * 64 + ".example") == NoSuchDomain()
    assert await resolver.mx("a..example") == NoSuchDomain()


@pytest_twisted.ensureDeferred
async def test_one_working_family_is_enough(resolver):
    assert await resolver.addresses("halfbroken.example") == Answer(("192.0.2.9",))


@pytest_twisted.ensureDeferred
async def test_cnames_are_followed(resolver):
    assert await resolver.mx("alias.example") == Answer((MxRecord(5, "there.example"),))
    found = await resolver.addresses("bare.example")
    assert set(found.records) == {"192.0.2.1", "192.0.2.2"}
    assert isinstance(await resolver.addresses("circle.example"), DnsTrouble)


@pytest_twisted.ensureDeferred
async def test_truncated_answers_come_by_tcp(resolver, server):
    found = await resolver.mx("big.example")
    assert isinstance(found, Answer)
    assert len(found.records) == 80
    assert server.asked["big.example", "MX", "tcp"] == 1


@pytest_twisted.ensureDeferred
async def test_a_server_that_knows_no_edns_is_asked_without(resolver, server):
    server.refuses_edns = True
    assert isinstance(await resolver.mx("example.org"), Answer)
    assert server.asked["example.org", "MX", "udp"] == 2


@pytest_twisted.ensureDeferred
async def test_a_dead_server_is_passed_by(server, monkeypatch):
    monkeypatch.setattr(resolver_module, "TRY_SECONDS", (0.3,))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{closed.getsockname()[1]}"
    assert isinstance(await Resolver(reactor, [dead, server.server]).mx("example.org"), Answer)
    assert isinstance(await Resolver(reactor, [dead]).mx("example.org"), DnsTrouble)


@pytest_twisted.ensureDeferred
async def test_a_question_ends_in_time(resolver, monkeypatch):
    monkeypatch.setattr(resolver_module, "TRY_SECONDS", (9.0,))
    monkeypatch.setattr(resolver_module, "OVERALL_SECONDS", 0.2)
    assert "within" in (await resolver.mx("silent.example")).why


@pytest_twisted.ensureDeferred
async def test_ptr(resolver):
    assert await resolver.ptr("192.0.2.1") == Answer(("mx1.example.org",))


@pytest_twisted.ensureDeferred
async def test_sender_domains(resolver):
    expected = {
        "example.org": SenderDomain.OK,
        "mx1.example.org": SenderDomain.OK,
        "[192.0.2.1]": SenderDomain.OK,
        "null.example": SenderDomain.NULL_MX,
        "gone.example": SenderDomain.NXDOMAIN,
        "nothing.example": SenderDomain.NXDOMAIN,
        "broken.example": SenderDomain.UNKNOWN,
    }
    assert {domain: await resolver.sender_domain_status(domain) for domain in expected} == expected


@pytest_twisted.ensureDeferred
async def test_a_host_the_operator_named(server, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost # both\n")
    resolver = Resolver(reactor, [server.server], hosts=hosts)
    assert await resolver.next_hop_addresses("LOCALHOST") == Answer(("127.0.0.1", "::1"))
    assert await resolver.next_hop_addresses("192.0.2.7") == Answer(("192.0.2.7",))
    assert await resolver.next_hop_addresses("[ipv6:2001:db8::7]") == Answer(("2001:db8::7",))
    assert await resolver.next_hop_addresses("halfbroken.example") == Answer(("192.0.2.9",))


def test_system_files():
    assert read_nameservers(["# x", "nameserver 192.0.2.53", "nameserver nonsense"]) == (("192.0.2.53", 53),)
    assert read_nameservers([]) == (("127.0.0.1", 53),)
    assert read_hosts(["junk", "", "192.0.2.1 A b"]) == {"a": ("192.0.2.1",), "b": ("192.0.2.1",)}


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_name_servers_as_written(text, server):
    assert parse_server(text) == server
