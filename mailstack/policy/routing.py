"""Which hosts a domain's mail goes to, in which order, and which of their addresses may be used.

Pure: look-ups come in as values, chance as a function. RFC 5321 section 5.1, RFC 7505 (null MX).
Neighbours: `net/resolver` asks the questions, `delivery/remote` tries the hosts in turn.
"""

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import groupby, zip_longest

from mailstack.mail.lookup import Answer, DnsTrouble, Lookup, MxRecord, NoSuchDomain
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status

MAX_ADDRESSES = 5
"""Addresses tried in one attempt: enough to pass by a dead host or two, few enough to end soon."""


def choose_hosts(
    domain: str, lookup: Lookup[MxRecord], own_hostname: str, shuffle: Callable[[list[str]], None]
) -> tuple[str, ...] | Reply:
    """The hosts to try, best first; or the reply that says why there is none (4yz: ask again later, 5yz: never).

    Args:
        domain: the recipients' domain.
        lookup: what DNS says of its MX.
        own_hostname: our name, to see a loop coming.
        shuffle: puts a list in random order, in place; spreads load over hosts of equal preference.
    """
    if isinstance(lookup, DnsTrouble):
        return dns_trouble(domain, lookup)
    if isinstance(lookup, NoSuchDomain):
        return reply(550, Status.UNKNOWN_SYSTEM, f"the domain {domain} does not exist")
    if isinstance(lookup, Answer):
        records = [record for record in lookup.records if record.host]
        if not records:
            return reply(556, Status.NULL_MX, f"the domain {domain} takes no mail (null MX)")
    else:
        records = [MxRecord(0, domain)]  # the implicit MX
    hosts = _order(_before(own_hostname, records), shuffle)
    if not hosts:
        return reply(
            554, Status.LOOP, f"mail for {domain} loops back: the best MX is this host, which does not serve it"
        )
    return hosts


def _before(own_hostname: str, records: list[MxRecord]) -> list[MxRecord]:
    """Without ourselves and all that come after or beside us: they would only hand it back (section 5.1)."""
    ours = [record.preference for record in records if record.host == own_hostname.lower()]
    return [record for record in records if not ours or record.preference < min(ours)]


def _order(records: list[MxRecord], shuffle: Callable[[list[str]], None]) -> tuple[str, ...]:
    ordered: list[str] = []
    for _, group in groupby(sorted(records, key=lambda record: record.preference), lambda record: record.preference):
        equals = [record.host for record in group]
        shuffle(equals)
        ordered += equals
    return tuple(dict.fromkeys(ordered))


def dns_trouble(name: str, trouble: DnsTrouble) -> Reply:
    """DNS could not be asked about a name: not the name's fault, so tried again."""
    return reply(451, Status.DNS_FAILURE, f"DNS could not tell about {name}: {trouble.why}")


def interleave(ipv6: Iterable[str], ipv4: Iterable[str]) -> tuple[str, ...]:
    """IPv6 and IPv4 in turn, so that one broken family costs one try and not all."""
    return tuple(address for pair in zip_longest(ipv6, ipv4) for address in pair if address)


def is_prohibited(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether we never connect to an address, in whatever form it hides an IPv4 address of ours."""
    ip: IPv4Address | IPv6Address = ip_address(address)
    forms = {ip}
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            forms.add(ip.ipv4_mapped)
        if ip.is_unspecified:
            forms.add(IPv4Address(0))  # `::` reaches this host just as 0.0.0.0 does
    return any(form in network for form in forms for network in networks)
