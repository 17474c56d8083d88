"""The DNS records that a domain of this host needs, and whether they are there: `mailstack dns`.

MX (RFC 5321 section 5.1), the host's addresses and the names these point back to, SPF (RFC 7208). Neighbours:
`net/resolver` asks; `cli/dns` prints.
"""

import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from mailstack.config import Config
from mailstack.config_values import split_host_port
from mailstack.mail.lookup import Answer, DnsTrouble, Lookup
from mailstack.net.resolver import Resolver
from mailstack.store.directory import DomainKind

MX_PREFERENCE = {DomainKind.LOCAL: 10, DomainKind.RELAY: 20}
"""A backup comes behind the host that keeps the mail."""
_SOMEWHERE = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A record as it belongs into a zone; names in `value` are absolute, a TXT value is one unquoted string."""

    name: str
    type: str
    value: str
    purpose: str


@dataclass(frozen=True, slots=True)
class DnsFinding:
    """What DNS says of one record. `what` is a line for people, with the mend when `is_right` is False."""

    name: str
    type: str
    found: tuple[str, ...]
    is_right: bool
    what: str


def needed_records(config: Config, domain: str, kind: DomainKind, addresses: Sequence[str]) -> list[DnsRecord]:
    """The records of a domain, and of the host itself.

    Args:
        config: hostname and smarthost.
        domain: A-label form.
        kind: whether we keep its mail or are its backup.
        addresses: of this host, as `own_addresses` finds them.
    """
    host = config.hostname
    mail = "mail for the domain comes here" if kind is DomainKind.LOCAL else "mail comes here when its own host is away"
    records = [DnsRecord(domain, "MX", f"{MX_PREFERENCE[kind]} {host}.", mail)]
    for address in addresses:
        purpose = f"where {host} is; PTR of the address must be {host}"
        if not ip_address(address).is_global:
            purpose += "; this one is not public: put the address there by which the world reaches it"
        records.append(DnsRecord(host, "AAAA" if ":" in address else "A", address, purpose))
    if kind is DomainKind.LOCAL:
        senders = " ".join(["mx", *_spf_of_smarthost(config.outbound.smarthost)])
        records.append(DnsRecord(domain, "TXT", f"v=spf1 {senders} -all", "SPF: who may send for the domain"))
    if host != domain:
        records.append(DnsRecord(host, "TXT", "v=spf1 a -all", "SPF: bounces and the host's own name"))
    return records


def _spf_of_smarthost(smarthost: str) -> Iterator[str]:
    if smarthost:
        host, _ = split_host_port(smarthost)
        try:
            yield f"ip{ip_address(host).version}:{host}"
        except ValueError:
            yield f"a:{host}"


def own_addresses(config: Config) -> list[str]:
    """The addresses at which mail comes in: those of `[listen] smtp`, or those the system sends from."""
    found: list[str] = [config.outbound.bind_address] if config.outbound.bind_address else []
    for endpoint in config.listen.smtp:
        if not endpoint.startswith("systemd:"):
            host, _ = split_host_port(endpoint)
            found += [host] if not ip_address(host).is_unspecified else _sending_addresses()
    return list(dict.fromkeys(found or _sending_addresses()))


def _sending_addresses() -> Iterator[str]:
    """Which address the system would send from, IPv4 and IPv6; connecting a UDP socket sends nothing."""
    for target, family in _SOMEWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            yield str(probe.getsockname()[0])


async def check_records(config: Config, domain: str, kind: DomainKind, resolver: Resolver) -> list[DnsFinding]:
    """Ask DNS for what `needed_records` names, and for the names that the host's addresses point back to."""
    host = config.hostname
    findings = [await _check_mx(host, domain, kind, resolver)]
    addresses = await resolver.addresses(host)
    if isinstance(addresses, Answer):
        findings.append(DnsFinding(host, "A", addresses.records, True, f"{host} is at {', '.join(addresses.records)}"))
        for address in addresses.records:
            findings.append(await _check_ptr(host, address, resolver))
    else:
        findings.append(DnsFinding(host, "A", (), False, f"{host} {_absence(addresses, 'address')}; add an A record"))
    wanted = needed_records(config, domain, kind, ())
    for record in wanted:
        if record.type == "TXT":
            findings.append(await _check_spf(record, resolver.txt))
    return findings


async def _check_mx(host: str, domain: str, kind: DomainKind, resolver: Resolver) -> DnsFinding:
    looked_up = await resolver.mx(domain)
    mend = f"add MX {MX_PREFERENCE[kind]} {host}."
    if not isinstance(looked_up, Answer):
        return DnsFinding(domain, "MX", (), False, f"{domain} {_absence(looked_up, 'MX')}; {mend}")
    records = sorted(looked_up.records, key=lambda record: record.preference)
    found = tuple(f"{record.preference} {record.host}." for record in records)
    ours = [record.preference for record in records if record.host == host]
    told = f"mail for {domain} goes to {', '.join(found)}"
    if not ours:
        return DnsFinding(domain, "MX", found, False, f"{told}, not to {host}; {mend}")
    if kind is DomainKind.LOCAL and min(ours) > records[0].preference:
        return DnsFinding(domain, "MX", found, False, f"{told}: others come before {host}; give it the lowest number")
    return DnsFinding(domain, "MX", found, True, told)


async def _check_ptr(host: str, address: str, resolver: Resolver) -> DnsFinding:
    looked_up = await resolver.ptr(address)
    found = looked_up.records if isinstance(looked_up, Answer) else ()
    if host in found:
        return DnsFinding(address, "PTR", found, True, f"{address} points back to {host}")
    told = f"points back to {', '.join(found)}" if found else _absence(looked_up, "PTR")
    mend = f"have whoever gave you the address set its PTR to {host}"
    return DnsFinding(address, "PTR", found, False, f"{address} {told}; {mend}")


async def _check_spf(wanted: DnsRecord, ask: Callable[[str], Awaitable[Lookup[str]]]) -> DnsFinding:
    looked_up = await ask(wanted.name)
    texts: Iterable[str] = looked_up.records if isinstance(looked_up, Answer) else ()
    found = tuple(text for text in texts if text.lower().split(" ")[0] == "v=spf1")
    if len(found) == 1:
        return DnsFinding(wanted.name, "TXT", found, True, f"SPF of {wanted.name} is {found[0]}")
    if found:
        told = f"has {len(found)} SPF records, which is an error; leave one"
    elif isinstance(looked_up, DnsTrouble):
        told = f"{_absence(looked_up, 'SPF')}; try again"
    else:
        told = f"has no SPF record; add TXT {wanted.value}"
    return DnsFinding(wanted.name, "TXT", found, False, f"{wanted.name} {told}")


def _absence(looked_up: object, what: str) -> str:
    return f"could not be asked ({looked_up.why})" if isinstance(looked_up, DnsTrouble) else f"has no {what}"
