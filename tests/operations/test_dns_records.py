"""What DNS must say of a domain, and what is told of what it says."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailstack.config import Config, Listen, Outbound
from mailstack.net.resolver import Resolver
from mailstack.operations.dns_records import check_records, needed_records, own_addresses
from mailstack.store.directory import DomainKind
from tests.net.fake_dns import FakeDns

CONFIG = Config("mx.example.org", Path("/nowhere"), listen=Listen(smtp=("192.0.2.25:25", "[2001:db8::25]:25")))
GOOD = {
    ("example.org", "MX"): ["10 mx.example.org.", "20 backup.example.net."],
    ("example.org", "TXT"): ['"v=spf1 mx " "-all"', '"something else"'],
    ("mx.example.org", "A"): ["192.0.2.25"],
    ("mx.example.org", "TXT"): ['"v=spf1 a -all"'],
    ("25.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org."],
}


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    fake = FakeDns(dict(GOOD))
    yield fake
    fake.close()


def test_the_records_of_a_local_domain() -> None:
    records = needed_records(CONFIG, "example.org", DomainKind.LOCAL, own_addresses(CONFIG))
    assert [(one.name, one.type, one.value) for one in records] == [
        ("example.org", "MX", "10 mx.example.org."),
        ("mx.example.org", "A", "192.0.2.25"),
        ("mx.example.org", "AAAA", "2001:db8::25"),
        ("example.org", "TXT", "v=spf1 mx -all"),
        ("mx.example.org", "TXT", "v=spf1 a -all"),
    ]
    assert all(one.purpose for one in records)


def test_a_backup_has_the_second_place_and_no_say_in_who_sends() -> None:
    records = needed_records(CONFIG, "example.net", DomainKind.RELAY, ())
    assert [(one.name, one.type, one.value) for one in records] == [
        ("example.net", "MX", "20 mx.example.org."),
        ("mx.example.org", "TXT", "v=spf1 a -all"),
    ]


@pytest.mark.parametrize(
    ("smarthost", "spf"),
    [("out.example.com:587", "a:out.example.com"), ("198.51.100.7:25", "ip4:198.51.100.7"), ("[::2]:25", "ip6:::2")],
)
def test_a_smarthost_sends_for_the_domain_too(smarthost: str, spf: str) -> None:
    config = replace(CONFIG, outbound=Outbound(smarthost=smarthost))
    values = [one.value for one in needed_records(config, "example.org", DomainKind.LOCAL, ())]
    assert f"v=spf1 mx {spf} -all" in values


def test_listening_everywhere_means_the_addresses_of_the_system() -> None:
    found = own_addresses(replace(CONFIG, listen=Listen(smtp=("0.0.0.0:25", "systemd:smtp"))))
    assert not {"0.0.0.0", "::"} & set(found)


@pytest_twisted.ensureDeferred
async def test_all_is_right(dns: FakeDns) -> None:
    findings = await check_records(CONFIG, "example.org", DomainKind.LOCAL, Resolver(reactor, [dns.server]))
    assert [(one.name, one.type) for one in findings if one.is_right] == [
        ("example.org", "MX"),
        ("mx.example.org", "A"),
        ("192.0.2.25", "PTR"),
        ("example.org", "TXT"),
        ("mx.example.org", "TXT"),
    ]
    assert findings[3].found == ("v=spf1 mx -all",)


@pytest.mark.parametrize(
    ("key", "records", "told"),
    [
        (("example.org", "MX"), ["10 other.example."], "not to mx.example.org; add MX 10 mx.example.org."),
        (("example.org", "MX"), ["5 other.example.", "10 mx.example.org."], "others come before mx.example.org"),
        (("example.org", "MX"), [], "has no MX; add MX 10"),
        (("example.org", "MX"), "REFUSED", "could not be asked"),
        (("mx.example.org", "A"), [], "has no address; add an A record"),
        (("25.2.0.192.in-addr.arpa", "PTR"), ["host7.isp.example."], "points back to host7.isp.example; have"),
        (("25.2.0.192.in-addr.arpa", "PTR"), "NXDOMAIN", "has no PTR; have"),
        (("example.org", "TXT"), ['"v=spf10 x"'], "has no SPF record; add TXT v=spf1 mx -all"),
        (("example.org", "TXT"), ['"v=spf1 a"', '"V=SPF1 mx"'], "has 2 SPF records"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_wrong_is_told_with_the_mend(
    dns: FakeDns, monkeypatch: pytest.MonkeyPatch, key: tuple[str, str], records: object, told: str
) -> None:
    monkeypatch.setattr("mailstack.net.resolver.TRY_SECONDS", (0.5,))
    dns.zone[key] = records
    findings = await check_records(CONFIG, "example.org", DomainKind.LOCAL, Resolver(reactor, [dns.server]))
    (wrong,) = [finding.what for finding in findings if not finding.is_right]
    assert told in wrong
