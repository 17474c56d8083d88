"""A greylist as Postfix asks one (SMTPD_POLICY_README): the first try for a recipient in `names` is deferred."""

import socketserver
import threading
from collections.abc import Collection


class Greylist(socketserver.ThreadingTCPServer):
    """Listens from the start; a `with` block ends it. `check` is what goes into smtpd_recipient_restrictions."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.names = names
        self.seen: set[str] = set()
        self.check = f"check_policy_service inet:127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        super().__exit__(*exception)

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
