"""What the SMTP connections of one listening service share, and how they end together.

Neighbours: `app.py` makes one for each of smtp, submission and submissions; `smtp_connection` is one connection.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.python.failure import Failure

from mailstack.config import Smtp
from mailstack.net.bounds import ConnectionBounds
from mailstack.net.open_connections import OpenConnections
from mailstack.net.smtp_connection import SmtpConnection
from mailstack.net.tls import ServerTls
from mailstack.smtp.profile import Profile
from mailstack.smtp.questions import Reception, Service

LAST_WORDS_SECONDS = 1.0
"""At a shutdown, after its grace: how long the 421s may take to leave."""


class SmtpServerFactory(ServerFactory):
    """Makes the connections of a service."""

    noisy = False

    def __init__(
        self,
        reception: Reception,
        limits: Smtp,
        *,
        service: Service,
        hostname: str,
        tls: ServerTls | None,
        clock: IReactorTime,
        report_bug: Callable[[str, Failure], None],
        bounds: ConnectionBounds | None = None,
        implicit_tls: bool = False,
        secret: bytes = b"",
    ) -> None:
        """Everything that a connection needs.

        Args:
            reception: the host's answers.
            limits: bounds and time-outs.
            service: MX or submission.
            hostname: ours, for the greeting.
            tls: for STARTTLS and `implicit_tls`; None = TLS is not offered.
            clock: the reactor, or a test's clock.
            report_bug: told what was going on and the exception, which should not have been.
            bounds: shared by the ports of one service; its own when None.
            implicit_tls: TLS from the first octet (RFC 8314 section 3.3).
            secret: random, the same on all nodes: makes up SCRAM salts of accounts that do not exist.
        """
        self.reception = reception
        self.limits = limits
        self.tls = tls
        self.clock = clock
        self.report_bug = report_bug
        if bounds is None:
            bounds = ConnectionBounds(limits.max_connections, limits.max_connections_per_address)
        self.bounds = bounds
        self.implicit_tls = implicit_tls
        self.is_stopping = False
        self.connections: OpenConnections[SmtpConnection] = OpenConnections(clock)
        self._hostname = hostname
        self._service = service
        self._secret = secret
        self.profile = self._make_profile()

    def _make_profile(self) -> Profile:
        limits = self.limits
        return Profile(
            hostname=self._hostname,
            service=self._service,
            offers_tls=self.tls is not None,
            max_message_size=limits.max_message_size,
            max_recipients=limits.max_recipients,
            max_line=limits.max_line,
            soft_errors=limits.soft_errors,
            hard_errors=limits.hard_errors,
            secret=self._secret,
        )

    def take_settings(self, limits: Smtp) -> None:
        """Other bounds and time-outs for the connections that come; those that stand go on as they began."""
        self.limits = limits
        self.bounds.resize(limits.max_connections, limits.max_connections_per_address)
        self.profile = self._make_profile()

    def buildProtocol(self, addr: IAddress | None) -> SmtpConnection:
        """One more connection."""
        return SmtpConnection(self)

    def forget(self, connection: SmtpConnection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)

    async def shutdown(self) -> None:
        """421 to whoever is idle; running transactions may end within the grace; then 421 to all.

        To be called once nothing listens any more.
        """
        self.is_stopping = True
        for connection in self.connections:
            connection.stop()
        await self.connections.wait_until_none(self.limits.shutdown_grace.total_seconds())
        for connection in self.connections:
            connection.cut()
        await self.connections.wait_until_none(LAST_WORDS_SECONDS)
        for connection in self.connections:
            connection.transport.abortConnection()
