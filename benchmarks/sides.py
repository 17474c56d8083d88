"""The two sides of the comparison: one Mailstack, one Postfix and one Dovecot, each set up for the same work.

Postfix delivers with virtual(8) into Maildirs and relays by a transport; Dovecot serves Maildirs. Durability is each
one's own default: Postfix and Mailstack both fsync before they say 250. Neither asks DNS about the sender.
"""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.smtp_sink import Sink
from tests.host import Host
from tests.lab.peers import Dovecot, Postfix, peer_folder

PASSWORD = "bench-password"
LOCAL_DOMAIN = "local.example"
RELAY_DOMAIN = "far.example"
BOXES = 10
POP3_USERS = [f"reader{number}" for number in range(8)]
MAX_SESSIONS = 600

POSTFIX_TUNING = {
    "in_flow_delay": "0",  # let it take mail as fast as it can: its back-pressure would be what is measured
    "default_process_limit": "600",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_connection_rate_limit": "0",
    "smtpd_timeout": "300s",
    "message_size_limit": str(52 * 1024 * 1024),
    "virtual_mailbox_limit": "0",
}
DOVECOT_TUNING = """
mail_max_userip_connections = 600
service pop3-login {
  service_count = 0
  client_limit = 1000
  process_min_avail = 2
}
service pop3 {
  process_limit = 600
}
service anvil {
  client_limit = 2000
}
service auth {
  client_limit = 4000
}
"""


def boxes() -> list[str]:
    """The local recipients of the load, in turn."""
    return [f"box{number}@{LOCAL_DOMAIN}" for number in range(BOXES)]


class Sides:
    """Both sides running, until the `with` block ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> "Sides":
        with ExitStack() as stack:
            folder = stack.enter_context(peer_folder("bench"))
            self.sink = stack.enter_context(Sink())
            self.ours = _mailstack(folder / "mailstack", self.sink)
            stack.callback(self.ours.kill9)
            self.postfix = _postfix(folder, self.sink)
            stack.callback(self.postfix.stop)
            self.dovecot = Dovecot(folder, PASSWORD, DOVECOT_TUNING).start()
            stack.callback(self.dovecot.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def postfix_delivered(self) -> int:
        """Mails in the local boxes of Postfix; Maildir names stay until someone fetches."""
        mail = self.postfix.folder / "mail"
        return sum(1 for _ in mail.glob("box*/new/*"))


def _mailstack(folder: Path, sink: Sink) -> Host:
    host = Host(folder, hostname="mx.bench.example")
    host.settings = {
        "smtp": {
            "check_sender_domain": False,
            "max_connections_per_address": MAX_SESSIONS,
        },
        "pop3": {"max_connections_per_address": MAX_SESSIONS},
        "outbound": {"prohibited_networks": []},
    }
    host.init()
    host.add_domain(LOCAL_DOMAIN)
    host.add_domain(RELAY_DOMAIN, "--kind", "relay", "--next-hop", f"127.0.0.1:{sink.address[1]}")
    for address in [*boxes(), *(f"{user}@{LOCAL_DOMAIN}" for user in POP3_USERS)]:
        host.add_account(address, password=PASSWORD)
    return host.start()


def _postfix(folder: Path, sink: Sink) -> Postfix:
    postfix = Postfix(folder, "bench", {})
    postfix.settings = {
        **POSTFIX_TUNING,
        "virtual_mailbox_domains": LOCAL_DOMAIN,
        "virtual_mailbox_maps": postfix.write_map("boxes", {box: f"{box.partition('@')[0]}/" for box in boxes()}),
        "relay_domains": RELAY_DOMAIN,
        "transport_maps": postfix.write_map("transport", {RELAY_DOMAIN: f"relay:[127.0.0.1]:{sink.address[1]}"}),
    }
    return postfix.start()
