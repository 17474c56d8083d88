"""Each dialog of `tests/dialogs/smtp` over a loopback socket, with real TLS."""

import socket
import ssl

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailstack.net.smtp_server import SmtpServerFactory
from tests.dialogs.runner import assert_said, dialogs, read_dialog
from tests.net.fake_mx import make_tls
from tests.smtp.reception import FakeReception
from tests.smtp.test_dialogs import settings_of


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return make_tls(tmp_path_factory.mktemp("tls"))


class SocketClient:
    """Blocking: lives in a thread."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")

    def read_lines(self, count):
        return [self.file.readline().decode().removesuffix("\r\n") for _ in range(count)]

    def start_tls(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()


def talk(dialog, port, reception):
    client = SocketClient(port)
    for turn in dialog.turns:
        reception.log.clear()
        if turn.sent:
            client.socket.sendall(turn.sent)
        assert_said(client.read_lines(len(turn.lines)), turn.lines)
        if turn.events:
            assert reception.log == turn.events
        if turn.starts_tls:
            client.start_tls()
        if turn.closes:
            assert client.file.readline() == b""
    client.close()


@pytest.mark.parametrize("path", dialogs("smtp"), ids=lambda path: path.stem)
@pytest_twisted.ensureDeferred
async def test_dialog(path, tls):
    dialog = read_dialog(path)
    service, limits = settings_of(dialog)
    reception = FakeReception()
    factory = SmtpServerFactory(
        reception,
        limits,
        service=service,
        hostname="mx.example.test",
        tls=tls,
        clock=reactor,
        report_bug=lambda what, failure: None,
    )
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    try:
        await deferToThread(talk, dialog, port.getHost().port, reception)
    finally:
        await port.stopListening()
        await factory.shutdown()
