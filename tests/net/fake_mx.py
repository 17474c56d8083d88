# ruff: noqa: N802 -- the method names of Twisted's protocols
"""A mail server for tests, whose every answer can be changed, on a loopback port of the test's reactor."""

from datetime import UTC, datetime
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver

from mailstack.net.tls import server_options
from mailstack.operations.certificates import make_self_signed, write_certificate


class FakeMx(Factory):
    """`answers` maps a line, or its verb, to the octets sent instead of the usual; b"" = silence, None = hang up."""

    noisy = False

    def __init__(self, *extensions, answers=None, tls=None):
        self.extensions = list(extensions)
        self.answers = answers or {}
        self.tls = tls
        self.connections = []
        self.messages = []
        self.lines = []
        self.all_lost = Deferred()

    def buildProtocol(self, address):
        session = _Session(self)
        self.connections.append(session)
        return session

    def listen(self, interface="127.0.0.1", port=0):
        self.port = reactor.listenTCP(port, self, interface=interface)
        return self.port.getHost().port

    async def close(self):
        await self.port.stopListening()
        for session in self.connections:
            if session.is_open:
                session.transport.abortConnection()
                await session.lost


class _Session(LineReceiver):
    MAX_LENGTH = 100_000

    def __init__(self, mx):
        self.mx = mx
        self.is_open = False
        self.lost = Deferred()
        self.writes = []
        self.in_data = False
        self.has_recipient = False
        self.bdat_left = 0
        self.content = []

    def connectionMade(self):
        self.is_open = True
        self.transport.setTcpNoDelay(True)
        self.answer("greeting", b"220 fake\r\n")

    def connectionLost(self, reason):
        self.is_open = False
        self.lost.callback(None)

    def dataReceived(self, data):
        self.writes.append(data)
        super().dataReceived(data)

    def lineReceived(self, line):
        if self.in_data:
            self.data_line(line)
            return
        text = line.decode()
        self.mx.lines.append(text)
        verb = text.split(" ")[0].upper()
        key = text if text in self.mx.answers else verb
        self.answer(key, getattr(self, f"do_{verb.lower()}")(text))

    def answer(self, key, usual):
        given = self.mx.answers.get(key, usual)
        if callable(given):
            given = given(self)
        if given is None:
            self.transport.loseConnection()
        elif given:
            self.transport.write(given)

    def data_line(self, line):
        if line == b".":
            self.in_data = False
            self.finish()
        else:
            self.content.append(line.removeprefix(b".") + b"\r\n")

    def finish(self):
        content, self.content = b"".join(self.content), []
        self.mx.messages.append(content)
        self.answer("content", b"250 2.0.0 taken\r\n" if self.has_recipient else b"554 nobody\r\n")
        self.has_recipient = False

    def do_ehlo(self, text):
        lines = ["fake", *self.mx.extensions]
        return "".join(
            f"250{'-' if number < len(lines) - 1 else ' '}{line}\r\n" for number, line in enumerate(lines)
        ).encode()

    def do_helo(self, text):
        return b"250 fake\r\n"

    def do_mail(self, text):
        return b"250 ok\r\n"

    def do_rcpt(self, text):
        self.has_recipient |= text not in self.mx.answers and "RCPT" not in self.mx.answers
        return b"250 ok\r\n"

    def do_rset(self, text):
        self.has_recipient = False
        return b"250 ok\r\n"

    def do_data(self, text):
        self.in_data = self.has_recipient and "DATA" not in self.mx.answers
        return b"354 go\r\n" if self.in_data else b"554 nobody\r\n"

    def do_bdat(self, text):
        self.bdat_left = int(text.split()[1])
        self.setRawMode()
        return b""

    def rawDataReceived(self, data):
        self.content.append(data[: self.bdat_left])
        rest = data[self.bdat_left :]
        self.bdat_left -= len(data) - len(rest)
        if not self.bdat_left:
            self.finish()
            self.setLineMode(rest)

    def do_starttls(self, text):
        if "STARTTLS" in self.mx.answers:
            return b""
        self.transport.write(b"220 go\r\n")
        self.transport.startTLS(self.mx.tls)
        return b""

    def do_auth(self, text):
        return b"235 welcome\r\n"

    def do_quit(self, text):
        self.transport.write(b"221 bye\r\n")


def make_tls(folder: Path, hostname="localhost"):
    """Server options with a fresh certificate of our own."""
    certificate, key = make_self_signed([hostname], datetime.now(UTC))
    write_certificate(folder / "cert.pem", folder / "key.pem", certificate, key)
    return server_options(folder / "cert.pem", folder / "key.pem")
