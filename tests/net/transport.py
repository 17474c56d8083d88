"""A transport in memory for the servers' tests with a `Clock`."""

from twisted.internet.interfaces import IAddress
from twisted.internet.testing import StringTransport


class Transport(StringTransport):
    """Keeps what is written; a client that does not read is `fill`."""

    def __init__(self, peer: IAddress | None = None) -> None:
        super().__init__(peerAddress=peer)
        self.writes = 0
        self.tls = 0
        self.aborted = False
        self.room: int | None = None

    def unregisterProducer(self) -> None:  # noqa: N802
        self.producer = None  # as real transports do, also when there is none

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        pass

    def startTLS(self, options: object) -> None:  # noqa: N802
        self.tls += 1

    def abortConnection(self) -> None:  # noqa: N802
        self.aborted = True
        self.loseConnection()

    def getHandle(self) -> "Transport":  # noqa: N802
        return self

    def get_protocol_version_name(self) -> str:
        return "TLSv1.3"

    def get_cipher_name(self) -> str:
        return "TLS_AES_256_GCM_SHA384"

    def write(self, data: bytes) -> None:
        self.writes += 1
        super().write(data)
        if self.room is not None and len(self.value()) > self.room and self.producer is not None:
            self.producer.pauseProducing()
