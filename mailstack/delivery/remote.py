"""Hands one mail to its next hop and says, for each recipient, what became of it.

Connections are reused, many recipients go in transactions of a hundred, and whatever the peer or the network does is an
outcome. Neighbours: `queue/attempt` calls it; `route` opens connections, `connections` keeps idle ones, `preparation`
fits the mail to the peer.
"""

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.defer import Deferred as Promise

from mailstack.config import Outbound
from mailstack.delivery.connections import IdleConnections
from mailstack.delivery.outgoing import NextHop, OutgoingContent, OutgoingMail
from mailstack.delivery.preparation import Scanned, make_transaction, needs_smtputf8, prepare, scan_content
from mailstack.delivery.route import Route
from mailstack.mail.outcome import Deferred, Delivered, Failed, Outcome
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.net.resolver import Resolver
from mailstack.net.smtp_client import DEFAULT_TIMEOUTS, SmtpConnection, Timeouts
from mailstack.smtp.client import Ended
from mailstack.smtp.client_transaction import is_too_many

__all__ = ["NextHop", "OutgoingContent", "OutgoingMail", "RemoteDelivery"]

MAX_RECIPIENTS = 100
"""Recipients in one transaction: what every host must take (RFC 5321 section 4.5.3.1.8)."""


class RemoteDelivery:
    """Delivers to other hosts; one for the whole process."""

    def __init__(
        self,
        reactor: Any,
        config: Outbound,
        hostname: str,
        resolver: Resolver,
        *,
        shuffle: Callable[[list[str]], None] = random.shuffle,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        """Args:
        reactor: IReactorTCP and IReactorTime.
        config: port, prohibited networks, connect time-out.
        hostname: ours, for EHLO and to see loops.
        resolver: for MX and addresses.
        shuffle: puts hosts of equal preference in random order.
        timeouts: those of RFC 5321 section 4.5.3.2.
        """
        self._route = Route(reactor, config, hostname, resolver, shuffle, timeouts)
        self._idle = IdleConnections(reactor)
        self._opening: set[Promise[SmtpConnection | Outcome]] = set()
        self._is_stopping = False

    async def deliver(self, next_hop: NextHop, mail: OutgoingMail) -> list[Outcome]:
        """Try once for all recipients of the envelope.

        Returns:
            One outcome for each recipient, in their order.

        Raises:
            CancelledError: `stop_opening` was called before a connection stood, and nobody was served yet.
            whatever reading our own content raises; nothing for trouble with the peer or the network.
        """
        outcomes: dict[int, Outcome] = {}
        waiting = list(range(len(mail.envelope.recipients)))
        scanned = await scan_content(mail.content)
        while waiting:
            try:
                done = await self._serve_some(next_hop, mail, scanned, waiting, outcomes)
            except CancelledError:
                if not outcomes or not self._is_stopping:
                    raise
                # some are served already, and that must not be forgotten
                outcomes.update(dict.fromkeys(waiting, Deferred(_STOPPING, next_hop.name)))
                break
            waiting = [index for index in waiting if index not in done]
        return [outcomes[index] for index in range(len(mail.envelope.recipients))]

    async def _serve_some(
        self, next_hop: NextHop, mail: OutgoingMail, scanned: Scanned, waiting: list[int], outcomes: dict[int, Outcome]
    ) -> set[int]:
        """One transaction for the first of those who wait; gives back who is done with."""
        connection = self._idle.take(next_hop.key) or await self._open(next_hop)
        if not isinstance(connection, SmtpConnection):
            outcomes.update(dict.fromkeys(waiting, connection))
            return set(waiting)
        batch = waiting[: min(MAX_RECIPIENTS, connection.session.extensions.rcpt_max or MAX_RECIPIENTS)]
        try:
            result = await self._transact(connection, mail, scanned, batch)
        finally:
            self._idle.give(next_hop.key, connection)
        if result.nothing_begun and connection.transactions > 1:
            # it died while it was idle, and so may others have: a new one tells whether the host serves us
            self._idle.forget(next_hop.key)
            return set()
        outcomes.update(zip(batch, result.outcomes, strict=True))
        if not connection.is_ready and (why := _session_trouble(result.outcomes)):
            for index in waiting:
                outcomes.setdefault(index, why)
            return set(waiting)
        return set(batch) - _to_repeat(batch, result.outcomes)

    async def _open(self, next_hop: NextHop) -> SmtpConnection | Outcome:
        if self._is_stopping:
            raise CancelledError
        opening = Promise.fromCoroutine(self._route.open(next_hop))
        self._opening.add(opening)
        try:
            return await opening
        finally:
            self._opening.discard(opening)

    def stop_opening(self) -> None:
        """Cancel what has no connection yet: nothing was sent, so the next start may as well try it."""
        self._is_stopping = True
        for opening in list(self._opening):
            opening.cancel()

    async def close(self) -> None:
        """End the idle connections."""
        self._idle.close()

    async def _transact(
        self, connection: SmtpConnection, mail: OutgoingMail, scanned: Scanned, batch: list[int]
    ) -> Ended:
        """One transaction for some recipients; those that this peer cannot have fail before it."""
        extensions, peer = connection.session.extensions, connection.session.peer
        recipients = [mail.envelope.recipients[index] for index in batch]
        for_all = needs_smtputf8(mail.envelope, scanned)
        sendable = [r for r in recipients if extensions.smtputf8 or not (for_all or r.address.needs_smtputf8)]
        refused = Failed(_NO_SMTPUTF8, peer)
        if not sendable:
            return Ended((refused,) * len(batch))
        prepared = await prepare(mail, scanned, extensions)
        if isinstance(prepared, Reply):
            return Ended((Failed(prepared, peer),) * len(batch))
        smtputf8 = for_all or any(r.address.needs_smtputf8 for r in sendable)
        transaction = make_transaction(mail, sendable, prepared, extensions, smtputf8=smtputf8)
        ended = await connection.send(transaction, prepared.octets())
        if len(sendable) == len(recipients):
            return ended
        told = iter(ended.outcomes)
        taken = {id(recipient) for recipient in sendable}
        merged = tuple(next(told) if id(recipient) in taken else refused for recipient in recipients)
        return Ended(merged, ended.nothing_begun)


_STOPPING = reply(451, Status.NOT_ACCEPTING, "this host was stopped before all recipients had their turn")
_NO_SMTPUTF8 = reply(550, Status.UTF8_UNSUPPORTED, "the next host lacks SMTPUTF8, which the addresses or header need")


def _to_repeat(batch: list[int], results: tuple[Outcome, ...]) -> set[int]:
    """Those that the peer wants in another transaction, provided that this one brought us on."""
    if not any(isinstance(outcome, Delivered) for outcome in results):
        return set()
    return {
        index
        for index, outcome in zip(batch, results, strict=True)
        if isinstance(outcome, Deferred) and is_too_many(outcome.reply)
    }


def _session_trouble(results: tuple[Outcome, ...]) -> Outcome | None:
    """Why the session ended within a transaction; holds for the recipients that were to follow."""
    return next((outcome for outcome in results if isinstance(outcome, Deferred)), None)
