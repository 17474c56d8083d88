"""Where mail goes, by a real DNS server: MX, implicit MX, null MX, CNAME, and names that lead nowhere."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.host import Host, free_ports, wait_until
from tests.lab.knot import Knot
from tests.lab.needs import needs
from tests.sink import Sink

pytestmark = needs("knotd")

ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "::1")
"""Of four mail hosts on one port; nobody listens on 127.0.0.9."""
RECORDS = """\
one       A     127.0.0.2
two       A     127.0.0.3
three     A     127.0.0.4
six       AAAA  ::1
dead      A     127.0.0.9
both      AAAA  ::1
both      A     127.0.0.9
first     MX    10 one
first     MX    20 two
*.equal   MX    10 one
*.equal   MX    10 two
*.equal   MX    10 three
second    MX    10 dead
second    MX    20 two
ipv6      MX    10 six
oneofboth MX    10 both
implicit  A     127.0.0.4
implicit6 AAAA  ::1
null      MX    0 .
alias     CNAME first
mxalias   MX    10 onealias
onealias  CNAME one
text      TXT   "no mail host here"
gone      MX    10 nowhere
silent    MX    10 dead
chain1    CNAME chain1
"""
ALICE, BOB = "alice@example.test", "bob@example.test"


@dataclass
class World:
    host: Host
    sinks: dict[str, Sink]

    def submit(self, recipient: str) -> str:
        return self.host.submit(ALICE, [recipient])

    def who_takes(self, recipient: str) -> str:
        """Send one mail there; the address of the host that took it."""
        before = {address: len(sink.taken) for address, sink in self.sinks.items()}
        self.submit(recipient)

        def taker() -> str | None:
            return next((a for a, sink in self.sinks.items() if len(sink.taken) > before[a]), None)

        address = wait_until(taker, f"the mail for {recipient}\n{self.host.log_text()[-1000:]}")
        assert address is not None
        assert self.sinks[address].taken[-1].recipients == (recipient,)
        return address

    def bounce_of(self, recipient: str) -> bytes:
        """Send one mail there; the bounce."""
        self.submit(recipient)
        (bounce,) = self.host.wait_for_mail(ALICE)
        self.host.fetch(ALICE, delete=True)
        assert recipient.encode() in bounce
        return bounce

    def deferral_of(self, recipient: str) -> str:
        """Send one mail there; the words it waits with."""
        queue_id = self.submit(recipient)

        def deferred() -> str | None:
            (row,) = [row for row in self.host.queue() if row["message"] == queue_id]
            assert row["state"] == "waiting"
            return str(row["last_reply"]) if row["last_reply"] else None

        words = wait_until(deferred, f"a deferral of mail for {recipient}", timeout=60)
        self.host.command("queue", "drop", queue_id)
        assert words is not None
        return words


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("dns")
    zones = {"test": RECORDS, "broken.test": None}
    with ExitStack() as stack:
        port = free_ports(1, ADDRESSES[0])[0]
        sinks = {address: stack.enter_context(Sink(address, port)) for address in ADDRESSES}
        knot = stack.enter_context(Knot(folder, zones))
        yield World(stack.enter_context(host_with(folder / "host", knot.nameserver, port)), sinks)


def host_with(folder: Path, nameserver: str, port: int) -> Host:
    """A running host that asks that name server and connects to loopback, port `port`."""
    outbound = {"nameservers": [nameserver], "port": port, "prohibited_networks": ["10.0.0.0/8"]}
    host = Host(folder, settings={"outbound": outbound}).init()
    host.add_domain("example.test")
    host.add_account(ALICE)
    host.add_account(BOB)
    return host.start()


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("first.test", "127.0.0.2"),
        ("second.test", "127.0.0.3"),
        ("ipv6.test", "::1"),
        ("oneofboth.test", "::1"),
        ("implicit.test", "127.0.0.4"),
        ("implicit6.test", "::1"),
        ("alias.test", "127.0.0.2"),
        ("mxalias.test", "127.0.0.2"),
    ],
)
def test_mail_goes_to_the_best_host_that_lives(world: World, domain: str, address: str) -> None:
    assert world.who_takes(f"carol@{domain}") == address


def test_hosts_of_equal_preference_share_the_mail(world: World) -> None:
    for number in range(30):
        world.submit(f"carol@{number}.equal.test")

    def takers() -> list[str]:
        return [a for a, sink in world.sinks.items() for mail in sink.taken if "equal.test" in mail.recipients[0]]

    wait_until(lambda: len(takers()) == 30, "30 mails")
    assert set(takers()) == {"127.0.0.2", "127.0.0.3", "127.0.0.4"}  # by chance not: once in 60,000 runs


@pytest.mark.parametrize(
    ("recipient", "status"),
    [
        ("carol@null.test", "5.1.10"),
        ("carol@nosuchname.test", "5.1.2"),
        ("carol@text.test", "5.4.4"),
        ("carol@gone.test", "5.4.4"),
    ],
)
def test_a_domain_that_can_take_no_mail_bounces_at_once(world: World, recipient: str, status: str) -> None:
    assert f"\r\nStatus: {status}\r\n".encode() in world.bounce_of(recipient)


@pytest.mark.parametrize(
    ("recipient", "words"),
    [
        ("carol@broken.test", "SERVFAIL"),
        ("carol@elsewhere.example", "REFUSED"),
        ("carol@silent.test", "127.0.0.9"),
        ("carol@chain1.test", "CNAME"),
    ],
)
def test_what_may_be_mended_is_deferred(world: World, recipient: str, words: str) -> None:
    assert words in world.deferral_of(recipient)


def test_a_silent_name_server_defers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silence:
        silence.bind(("127.0.0.1", 0))
        nameserver = f"127.0.0.1:{silence.getsockname()[1]}"
        with host_with(tmp_path / "host", nameserver, 25) as host:
            assert "4.4.3" in World(host, {}).deferral_of("carol@first.test")
            with host.mx() as session:
                session.mail("friend@first.test")
                assert session.rcpt(BOB)[0] == 250, "silence is not held against the sender"


@pytest.mark.parametrize(
    ("sender", "code", "status"),
    [
        ("friend@first.test", 250, b""),
        ("friend@implicit.test", 250, b""),
        ("friend@alias.test", 250, b""),
        ("friend@broken.test", 250, b""),
        ("friend@nosuchname.test", 550, b"5.1.8"),
        ("friend@null.test", 550, b"5.7.27"),
        ("", 250, b""),
    ],
)
def test_port_25_asks_whether_the_senders_domain_exists(world: World, sender: str, code: int, status: bytes) -> None:
    with world.host.mx() as session:
        got, words = session.mail(sender)
        assert got == code
        assert words.startswith(status)
        assert (session.rcpt(BOB)[0] == 250) == (code == 250)
