"""Finds a connection to a next hop: its hosts in turn, their addresses in turn, five at most.

RFC 5321 section 5.1, RFC 7504 (521), RFC 7435 (opportunistic TLS). Neighbours: `remote` asks; `policy/routing` decides,
`net/resolver` knows, `net/smtp_client` connects.
"""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from mailstack.config import Outbound
from mailstack.delivery.outgoing import NextHop, NextHopKind
from mailstack.mail.lookup import Answer, DnsTrouble
from mailstack.mail.outcome import Deferred as DeferredMail
from mailstack.mail.outcome import Failed, Outcome
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.net.resolver import Resolver
from mailstack.net.smtp_client import DEFAULT_TIMEOUTS, Opened, SmtpConnection, Target, Timeouts, TlsFailed, connect
from mailstack.net.tls import client_options
from mailstack.policy.routing import MAX_ADDRESSES, choose_hosts, dns_trouble, is_prohibited
from mailstack.smtp.client import ClientSession, Credentials, Ready, Refused, State, TlsPolicy

SUBMISSIONS_PORT = 465
"""TLS comes first there (RFC 8314 section 3.3)."""


@dataclass(slots=True)
class _Findings:
    """What became of the hosts, for the word at the end when none served us."""

    refusals: list[tuple[Refused, str]] = field(default_factory=list)
    """With the peer each is from."""
    trouble: Reply | None = None
    saw_prohibited: bool = False


class Route:
    """Opens connections by next hop."""

    def __init__(
        self,
        reactor: Any,
        config: Outbound,
        hostname: str,
        resolver: Resolver,
        shuffle: Callable[[list[str]], None] = random.shuffle,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        self._reactor = reactor
        self._config = config
        self._hostname = hostname
        self._resolver = resolver
        self._shuffle = shuffle
        self._timeouts = timeouts

    async def open(self, next_hop: NextHop) -> SmtpConnection | Outcome:
        """A ready connection, or the outcome for all recipients when no host gave us one."""
        hosts = await self._hosts(next_hop)
        if isinstance(hosts, Reply):
            return _outcome(hosts, next_hop.name)
        findings = _Findings()
        async for host, address in self._addresses(next_hop, hosts, findings):
            connection, opened = await self._try(next_hop, host, address)
            if isinstance(opened, Ready):
                return connection
            findings.refusals.append((opened, connection.session.peer))
            if len(findings.refusals) == MAX_ADDRESSES:
                break
        return _conclude(next_hop, findings)

    async def _hosts(self, next_hop: NextHop) -> tuple[str, ...] | Reply:
        if next_hop.kind is not NextHopKind.MX or next_hop.name.startswith("["):
            return (next_hop.name,)
        lookup = await self._resolver.mx(next_hop.name)
        return choose_hosts(next_hop.name, lookup, self._hostname, self._shuffle)

    async def _addresses(
        self, next_hop: NextHop, hosts: tuple[str, ...], findings: _Findings
    ) -> AsyncIterator[tuple[str, str]]:
        """Host after host, so that a slow look-up of the second never delays the first."""
        is_named = next_hop.kind is not NextHopKind.MX or next_hop.name.startswith("[")
        for host in hosts:
            ask = self._resolver.next_hop_addresses if is_named else self._resolver.addresses
            found = await ask(host)
            if isinstance(found, DnsTrouble):
                findings.trouble = dns_trouble(host, found)
            for address in found.records if isinstance(found, Answer) else ():
                if is_prohibited(address, self._config.prohibited_networks):
                    findings.saw_prohibited = True
                else:
                    yield host, address

    async def _try(self, next_hop: NextHop, host: str, address: str) -> tuple[SmtpConnection, Ready | Refused]:
        tls = TlsPolicy.REQUIRED if next_hop.user else TlsPolicy.OPPORTUNISTIC
        connection, opened = await self._connect(next_hop, host, address, tls)
        if isinstance(opened, TlsFailed) and tls is TlsPolicy.OPPORTUNISTIC:
            connection.abort()
            connection, opened = await self._connect(next_hop, host, address, TlsPolicy.NEVER)
        if isinstance(opened, Ready):
            return connection, opened
        connection.quit()
        if isinstance(opened, TlsFailed):
            text = f"the TLS handshake with {connection.session.peer} failed: {opened.why}"
            opened = Refused(reply(451, Status.ENCRYPTION_NEEDED, text), State.HANDSHAKE)
        return connection, opened

    async def _connect(
        self, next_hop: NextHop, host: str, address: str, tls: TlsPolicy
    ) -> tuple[SmtpConnection, Opened]:
        port = next_hop.port or self._config.port
        implicit_tls = port == SUBMISSIONS_PORT
        session = ClientSession(
            self._hostname,
            f"{host}[{address}]:{port}",
            tls=tls,
            credentials=Credentials(next_hop.user, next_hop.password) if next_hop.user else None,
            is_encrypted=implicit_tls,
        )
        # a password is worth a certificate that names the host; without one there is nothing to protect from a fake
        verify = bool(next_hop.user) and self._config.smarthost_verify
        connection = SmtpConnection(
            session, partial(_tls_options, host, verify), self._reactor, self._timeouts, implicit_tls=implicit_tls
        )
        target = Target(address, port, self._config.bind_address)
        return connection, await connect(self._reactor, target, connection, self._config.connect_timeout)


@lru_cache(maxsize=256)
def _tls_options(host: str, verify: bool) -> Any:
    """A context costs a millisecond to make, so it is kept."""
    return client_options(host, verify=verify)


def _conclude(next_hop: NextHop, findings: _Findings) -> Outcome:
    """No host served us: for ever only when all of them said so, or when there is none that we could ever ask."""
    if findings.refusals:
        refused, peer = _most_telling(findings.refusals)
        if all(_is_for_ever(refused) for refused, _ in findings.refusals):
            return Failed(refused.reply, peer)
        return DeferredMail(refused.reply, peer, whole_destination=True)
    if findings.trouble:
        return _outcome(findings.trouble, next_hop.name)
    why = "has only addresses that we never connect to" if findings.saw_prohibited else "has no address"
    if next_hop.kind is not NextHopKind.MX:
        # the operator named this host: a slip in the settings must not bounce mail
        return _outcome(reply(451, Status.UNABLE_TO_ROUTE, f"the next hop {next_hop.name} {why}"), next_hop.name)
    return _outcome(reply(550, Status.UNABLE_TO_ROUTE, f"the mail host of {next_hop.name} {why}"), next_hop.name)


def _is_for_ever(refused: Refused) -> bool:
    """A 521 greeting says that the host never takes mail (RFC 7504); a 554 may be about us today, so we ask again."""
    return refused.during is State.GREETING and refused.reply.code in (521, 556)


def _most_telling(refusals: list[tuple[Refused, str]]) -> tuple[Refused, str]:
    """What a host said tells more than that another could not be reached."""
    unreachable = Status.NO_ANSWER.value
    for refused, peer in refusals:
        status = refused.reply.status
        if status is None or (status.subject, status.detail) != unreachable:
            return refused, peer
    return refusals[-1]


def _outcome(why: Reply, peer: str) -> Outcome:
    return DeferredMail(why, peer, whole_destination=True) if why.is_transient else Failed(why, peer)
