"""One DNS question to one name server: UDP with EDNS(0), TCP when the answer is truncated (RFC 1035, 6891, 7766).

Each question has a port and an ID of its own, and an answer counts only when ID, server and question fit (RFC 5452).
Neighbours: `resolver` chooses servers, retries and reads the answers; `twisted.names.dns` encodes and decodes.
"""

import secrets
import struct
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionRefusedError as TwistedConnectionRefusedError
from twisted.internet.protocol import ClientFactory, DatagramProtocol, connectionDone
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from mailstack.net.system_dns import Server

UDP_PAYLOAD = 1232
"""What passes without fragments nearly everywhere (DNS flag day 2020)."""
_OPT = b"\0" + struct.pack("!HHIH", 41, UDP_PAYLOAD, 0, 0)


async def ask_server(reactor: Any, server: Server, name: str, record_type: int, timeout_seconds: float) -> dns.Message:
    """Ask and give back the server's answer, whatever its code.

    Args:
        reactor: IReactorUDP, IReactorTCP and IReactorTime.
        server: whom to ask.
        name: an A-label name.
        record_type: e.g. `dns.MX`.
        timeout_seconds: for UDP, and again for TCP when the answer is truncated.

    Raises:
        TimeoutError, ConnectionRefusedError and other OSErrors: no answer came.
    """
    question = _Question(name, record_type)
    answer = await question.by_udp(reactor, server, timeout_seconds, edns=True)
    if answer.rCode in (dns.EFORMAT, dns.ENOTIMP):
        answer = await question.by_udp(reactor, server, timeout_seconds, edns=False)  # RFC 6891 section 6.2.2
    if answer.trunc:
        answer = await question.by_tcp(reactor, server, timeout_seconds)
    return answer


class _Question:
    def __init__(self, name: str, record_type: int) -> None:
        self._query = dns.Query(name.encode("ascii"), record_type, dns.IN)
        self._id = secrets.randbelow(1 << 16)

    def encode(self, *, edns: bool) -> bytes:
        message = dns.Message(self._id, recDes=1)
        message.queries = [self._query]
        octets = message.toStr()
        # an OPT record is appended by hand: header octets 10 and 11 count the additional records
        return octets[:10] + b"\0\1" + octets[12:] + _OPT if edns else octets

    def read(self, octets: bytes) -> dns.Message | None:
        """The message, when it is an answer to this question."""
        message = dns.Message()
        try:
            message.fromStr(octets)
        except (EOFError, ValueError, struct.error):
            return None
        fits = message.id == self._id and message.answer
        asked = message.queries[0] if message.queries else None
        if asked is None:  # an error answer may leave the question out
            return message if fits and message.rCode != dns.OK else None
        same = asked.name.name.lower() == self._query.name.name.lower() and asked.type == self._query.type
        return message if fits and same else None

    async def by_udp(self, reactor: Any, server: Server, timeout_seconds: float, *, edns: bool) -> dns.Message:
        protocol = _UdpQuestion(self, server, edns=edns)
        port = reactor.listenUDP(0, protocol, interface="::" if ":" in server[0] else "", maxPacketSize=65535)
        try:
            return await protocol.answered.addTimeout(timeout_seconds, reactor)
        finally:
            await maybeDeferred(port.stopListening)

    async def by_tcp(self, reactor: Any, server: Server, timeout_seconds: float) -> dns.Message:
        factory = _TcpQuestionFactory(self)
        connector = reactor.connectTCP(server[0], server[1], factory, timeout=timeout_seconds)
        try:
            return await factory.answered.addTimeout(timeout_seconds, reactor)
        finally:
            connector.disconnect()


class _UdpQuestion(DatagramProtocol):
    transport: Any  # connected, so that only the server's own datagrams and refusals come in

    def __init__(self, question: _Question, server: Server, *, edns: bool) -> None:
        self._question = question
        self._server = server
        self._edns = edns
        self.answered: Deferred[dns.Message] = Deferred()

    def startProtocol(self) -> None:
        self.transport.connect(*self._server)
        self.transport.write(self._question.encode(edns=self._edns))

    def datagramReceived(self, datagram: bytes, _: Any) -> None:
        answer = self._question.read(datagram)
        if answer and not self.answered.called:
            self.answered.callback(answer)

    def connectionRefused(self) -> None:
        if not self.answered.called:
            self.answered.errback(Failure(TwistedConnectionRefusedError()))  # type: ignore[no-untyped-call]


class _TcpQuestion(Int16StringReceiver):
    factory: "_TcpQuestionFactory"

    def connectionMade(self) -> None:
        self.sendString(self.factory.question.encode(edns=True))  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        answer = self.factory.question.read(string)
        if answer and not self.factory.answered.called:
            self.factory.answered.callback(answer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.fail(reason)


class _TcpQuestionFactory(ClientFactory):
    protocol = _TcpQuestion  # type: ignore[assignment]
    noisy = False

    def __init__(self, question: _Question) -> None:
        self.question = question
        self.answered: Deferred[dns.Message] = Deferred()

    def fail(self, reason: Failure) -> None:
        if not self.answered.called:
            self.answered.errback(reason)

    def clientConnectionFailed(self, _: Any, reason: Failure) -> None:
        self.fail(reason)
