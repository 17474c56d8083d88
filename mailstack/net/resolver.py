"""DNS for mail: MX, addresses, PTR and TXT, with "does not exist" and "could not be asked" kept apart.

CNAMEs are followed, answers kept for their TTL, equal questions asked once at a time, and a question is over after ten
seconds, whatever the servers do. RFC 1034, 2308, 5321 section 5.1. Neighbours: `dns_query` asks one server,
`policy/routing` and `reception/` decide on the results (`mail/lookup`).
"""

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.names import dns

from mailstack.mail.lookup import Answer, DnsTrouble, Lookup, MxRecord, NoData, NoSuchDomain, SenderDomain
from mailstack.net.dns_query import ask_server
from mailstack.net.system_dns import Server, WatchedFile, parse_server, read_hosts, read_nameservers
from mailstack.policy.routing import interleave

OVERALL_SECONDS = 10.0
TRY_SECONDS = (1.5, 3.0, 5.0)
"""How long each round over all servers waits for one of them."""
MAX_TTL_SECONDS = 3600
MAX_NEGATIVE_TTL_SECONDS = 300
MAX_CACHED = 10_000
MAX_CNAMES = 8

_Raw = Lookup[Any]
_NO_ANSWER = (ConnectError, ConnectionClosed, OSError)


class Resolver:
    """Answers questions about names, from its cache or from the name servers."""

    def __init__(
        self,
        reactor: Any,
        nameservers: Sequence[str] = (),
        *,
        resolv_conf: Path = Path("/etc/resolv.conf"),
        hosts: Path = Path("/etc/hosts"),
    ) -> None:
        """Args:
            reactor: IReactorUDP, IReactorTCP and IReactorTime.
            nameservers: as in the settings, `127.0.0.1:5353`; empty = those of the system.

        Raises:
            ValueError: a name server is no address.
        """
        self._reactor = reactor
        self._servers = tuple(parse_server(text) for text in nameservers)
        self._resolv_conf = WatchedFile(resolv_conf, read_nameservers)
        self._hosts = WatchedFile(hosts, read_hosts)
        self._cache: dict[tuple[str, int], tuple[float, _Raw]] = {}
        self._asking: dict[tuple[str, int], list[Deferred[_Raw]]] = {}

    async def mx(self, domain: str) -> Lookup[MxRecord]:
        """The MX records of a domain, in no order; the null MX has the host ""."""
        found = await self._look_up(domain, dns.MX)
        if not isinstance(found, Answer):
            return found
        return Answer(tuple(MxRecord(record.preference, _text(record.name)) for record in found.records))

    async def addresses(self, host: str) -> Lookup[str]:
        """The addresses of a host, IPv6 and IPv4 in turn."""
        v6, v4 = await self._both(self._look_up(host, dns.AAAA), self._look_up(host, dns.A))
        texts = [
            [str(ip_address(record.address)) for record in found.records] if isinstance(found, Answer) else []
            for found in (v6, v4)
        ]
        if any(texts):
            return Answer(interleave(*texts))
        for found in (v4, v6):
            if isinstance(found, DnsTrouble):
                return found
        return NoSuchDomain() if isinstance(v4, NoSuchDomain) and isinstance(v6, NoSuchDomain) else NoData()

    async def next_hop_addresses(self, host: str) -> Lookup[str]:
        """As `addresses`, for a host that the operator named: an address stands for itself, and /etc/hosts counts."""
        try:
            return Answer((str(ip_address(host.strip("[]").removeprefix("ipv6:"))),))
        except ValueError:
            pass
        if own := self._hosts.get().get(host.lower()):
            return Answer(own)
        return await self.addresses(host)

    async def ptr(self, address: str) -> Lookup[str]:
        """The host names that an address points back to."""
        found = await self._look_up(ip_address(address).reverse_pointer, dns.PTR)
        return Answer(tuple(_text(record.name) for record in found.records)) if isinstance(found, Answer) else found

    async def txt(self, name: str) -> Lookup[str]:
        """The TXT records of a name, each with its strings joined (RFC 7208 section 3.3)."""
        found = await self._look_up(name, dns.TXT)
        if not isinstance(found, Answer):
            return found
        return Answer(tuple(b"".join(record.data).decode("utf-8", "replace") for record in found.records))

    async def sender_domain_status(self, domain: str) -> SenderDomain:
        """Whether mail could be returned to a domain: it has an MX, or an address (RFC 5321 section 5.1, RFC 7505)."""
        if domain.startswith("["):
            return SenderDomain.OK
        mx = await self.mx(domain)
        if isinstance(mx, Answer):
            return SenderDomain.OK if any(record.host for record in mx.records) else SenderDomain.NULL_MX
        found = await self.addresses(domain) if isinstance(mx, NoData) else mx
        if isinstance(found, DnsTrouble):
            return SenderDomain.UNKNOWN
        return SenderDomain.OK if isinstance(found, Answer) else SenderDomain.NXDOMAIN

    async def _both(self, first: Any, second: Any) -> tuple[_Raw, _Raw]:
        waiting = [Deferred.fromCoroutine(first), Deferred.fromCoroutine(second)]
        (_, one), (_, two) = await DeferredList(waiting, fireOnOneErrback=True, consumeErrors=True)
        return one, two

    async def _look_up(self, name: str, record_type: int) -> _Raw:
        key = (name.lower().removesuffix("."), record_type)
        cached = self._cache.get(key)
        if cached and cached[0] > self._reactor.seconds():
            return cached[1]
        answered: Deferred[_Raw] = Deferred()
        if key in self._asking:
            self._asking[key].append(answered)
        else:
            self._asking[key] = [answered]
            # a Deferred of its own: one who asks and is cancelled takes nothing from the others
            Deferred.fromCoroutine(self._ask_in_time(*key)).addBoth(self._tell, key)
        return await answered

    def _tell(self, result: Any, key: tuple[str, int]) -> None:
        for waiting in self._asking.pop(key):
            if not waiting.called:
                waiting.callback(result)  # a Failure, that is our own bug, goes the same way

    async def _ask_in_time(self, name: str, record_type: int) -> _Raw:
        try:
            return await Deferred.fromCoroutine(self._ask(name, record_type)).addTimeout(OVERALL_SECONDS, self._reactor)
        except DeferTimeoutError:
            return DnsTrouble(f"no answer within {OVERALL_SECONDS:.0f} seconds")

    async def _ask(self, name: str, record_type: int) -> _Raw:
        target = name
        ttl = MAX_TTL_SECONDS
        for _ in range(MAX_CNAMES):
            message = await self._ask_servers(target, record_type)
            if isinstance(message, DnsTrouble):
                return message
            records, end, chain_ttl = _follow(message, target, record_type)
            ttl = min(ttl, chain_ttl)
            if records:
                return self._keep((name, record_type), Answer(tuple(records)), ttl)
            if message.rCode == dns.ENAME:
                return self._keep((name, record_type), NoSuchDomain(), min(ttl, _negative_ttl(message)))
            if end == target:
                return self._keep((name, record_type), NoData(), min(ttl, _negative_ttl(message)))
            if not end:
                break
            target = end
        return DnsTrouble(f"more than {MAX_CNAMES} CNAMEs")

    async def _ask_servers(self, name: str, record_type: int) -> dns.Message | DnsTrouble:
        why = "no name server"
        for seconds in TRY_SECONDS:
            for server in self._servers or self._resolv_conf.get():
                answer = await self._try_server(server, name, record_type, seconds)
                if isinstance(answer, dns.Message):
                    return answer
                why = answer
        return DnsTrouble(why)

    async def _try_server(self, server: Server, name: str, record_type: int, seconds: float) -> dns.Message | str:
        if not _fits_in_dns(name):
            return dns.Message(rCode=dns.ENAME)  # no such name can exist; nobody needs to be asked
        try:
            message = await ask_server(self._reactor, server, name, record_type, seconds)
        except (TimeoutError, DeferTimeoutError):
            return f"{server[0]} gave no answer within {seconds:g} seconds"
        except _NO_ANSWER as error:
            return f"{server[0]} gave no answer: {error or type(error).__name__}"
        if message.rCode not in (dns.OK, dns.ENAME):
            return f"{server[0]} answered {_RCODES.get(message.rCode, message.rCode)}"
        if message.rCode == dns.OK and not message.answers and _is_referral(message):
            return f"{server[0]} knows nothing about it and asks nobody else"
        return message

    def _keep(self, key: tuple[str, int], result: _Raw, ttl: int) -> _Raw:
        if ttl > 0:
            while len(self._cache) >= MAX_CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache.pop(key, None)
            self._cache[key] = (self._reactor.seconds() + ttl, result)
        return result


_RCODES = {dns.ESERVER: "SERVFAIL", dns.EREFUSED: "REFUSED", dns.EFORMAT: "FORMERR", dns.ENOTIMP: "NOTIMP"}


def _follow(message: dns.Message, name: str, record_type: int) -> tuple[list[Any], str, int]:
    """The records of the type, at the name or at the end of its CNAMEs; that end; and the least TTL on the way.

    The end is "" when the CNAMEs have none.
    """
    ttl = MAX_TTL_SECONDS
    for _ in range(MAX_CNAMES):
        here = [rr for rr in message.answers if _text(rr.name) == name]
        wanted = [rr for rr in here if rr.type == record_type]
        if wanted:
            return [rr.payload for rr in wanted], name, min(ttl, *(rr.ttl for rr in wanted))
        alias = next((rr for rr in here if rr.type == dns.CNAME), None)
        if alias is None:
            return [], name, ttl
        payload: Any = alias.payload
        name, ttl = _text(payload.name), min(ttl, alias.ttl)
    return [], "", 0


def _text(name: dns.Name) -> str:
    """A name in lower case without trailing dot; octets beyond ASCII, which no mail host has, cannot match any."""
    return name.name.decode("ascii", "replace").lower().removesuffix(".")


def _fits_in_dns(name: str) -> bool:
    return name.isascii() and len(name) <= 253 and all(0 < len(label) <= 63 for label in name.split("."))


def _negative_ttl(message: dns.Message) -> int:
    """How long the absence holds (RFC 2308 section 5); a minute when the answer does not say."""
    for rr in message.authority:
        if rr.type == dns.SOA:
            soa: Any = rr.payload
            return min(MAX_NEGATIVE_TTL_SECONDS, int(rr.ttl), int(soa.minimum))
    return 60


def _is_referral(message: dns.Message) -> bool:
    return not message.recAv and not message.auth and any(rr.type == dns.NS for rr in message.authority)
