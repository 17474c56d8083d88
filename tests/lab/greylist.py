"""A greylist as Postfix asks one (SMTPD_POLICY_README): the first try for a recipient in `names` is deferred."""

import socketserver
from collections.abc import Collection

from tests.sink import ThreadedServer


class Greylist(ThreadedServer):
    """A policy server; `check` is what goes into smtpd_recipient_restrictions."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = names
        self.seen: set[str] = set()
        super().__init__("127.0.0.1", 0, _Session)
        self.check = f"check_policy_service inet:127.0.0.1:{self.port}"

    def action(self, recipient: str) -> str:
        if recipient in self.names and recipient not in self.seen:
            self.seen.add(recipient)
            return "450 4.2.0 Greylisted, come again soon"
        return "DUNNO"


class _Session(socketserver.StreamRequestHandler):
    server: Greylist

    def handle(self) -> None:
        request: dict[str, str] = {}
        for line in self.rfile:
            name, equals, value = line.decode().rstrip("\n").partition("=")
            if equals:
                request[name] = value
            else:
                self.wfile.write(f"action={self.server.action(request.get('recipient', ''))}\n\n".encode())
                request = {}
