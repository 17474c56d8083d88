"""A whole host towards a scripted world: the way out, each fate on the timeline, reports, the queue's verbs."""

import email
import itertools
import time
from collections.abc import Iterator
from email.message import EmailMessage, Message
from email.policy import default

import pytest

from tests.host import Host, free_ports, wait_until
from tests.net.fake_dns import FakeDns
from tests.scripted_mx import ALL, Answer, ScriptedMx

ALICE = "alice@example.test"
_numbers = itertools.count(2)


class World:
    """The host, its DNS, and mail servers on loopback addresses of their own."""

    def __init__(self, host: Host, dns: FakeDns, port: int) -> None:
        self.host = host
        self.port = port
        self._dns = dns
        self._servers: list[ScriptedMx] = []

    def domain(self, name: str, *addresses: str) -> None:
        """A domain with a mail host at each address, the first one first."""
        mx = [f"{10 + number} mx{number}.{name}." for number, _ in enumerate(addresses)]
        self._dns.zone[name, "MX"] = mx
        for number, address in enumerate(addresses):
            self._dns.zone[f"mx{number}.{name}", "A"] = [address]

    def server(self, name: str, extensions: tuple[str, ...] = ALL, **answers: Answer) -> ScriptedMx:
        """A domain with one mail host, which is there."""
        address = self.address()
        self.domain(name, address)
        return self.serve(address, extensions, **answers)

    def address(self) -> str:
        return f"127.0.0.{next(_numbers)}"

    def serve(self, address: str, extensions: tuple[str, ...] = ALL, **answers: Answer) -> ScriptedMx:
        server = ScriptedMx(address, self.port, extensions, answers)
        self._servers.append(server)
        return server

    def submit(self, *recipients: str, mail: str = "", rcpt: str = "", content: bytes = b"") -> str:
        """Submit with parameters; the queue ID."""
        content = content or b"From: alice@example.test\r\nSubject: hello\r\n\r\nbody\r\n"
        with self.host.submission(ALICE) as session:
            for command, text in [
                ("MAIL", f"FROM:<{ALICE}> {mail}"),
                *(("RCPT", f"TO:<{r}> {rcpt}") for r in recipients),
            ]:
                code, words = session.docmd(command, text.strip())
                assert code == 250, words
            code, words = session.data(content)
            assert code == 250, words
            return words.decode().rpartition("accepted as ")[2]

    def until_ended(self, queue_id: str) -> list[tuple[str, str]]:
        """(event, recipient) of a message that has left the queue."""
        wait_until(lambda: not [row for row in self.host.queue() if row["message"] == queue_id], "it has ended", 60)
        return self.events(queue_id)

    def events(self, queue_id: str) -> list[tuple[str, str]]:
        (story,) = self.host.json("trace", queue_id)
        return [(event["event"], event["recipient"]) for event in story["events"]]

    def reports(self, count: int) -> dict[str, Message]:
        """The per-recipient blocks of the reports that Alice got, by Final-Recipient; her maildrop is empty after."""
        wait_until(lambda: len(self.reports_there()) >= count, f"{count} reports", 60, every=0.3)
        messages = self.reports_there()
        self.host.fetch(ALICE, delete=True)
        assert len(messages) == count
        blocks: dict[str, Message] = {}
        for message in messages:
            assert message["Return-Path"] == "<>"
            _, status, _ = message.iter_parts()
            about_all, *about_each = status.get_payload()
            for block in about_each:
                block["Envelope"] = about_all["Original-Envelope-Id"] or ""
                blocks[block["Final-Recipient"].removeprefix("rfc822; ")] = block
        return blocks

    def reports_there(self) -> list[EmailMessage]:
        """The reports in Alice's maildrop; notices of her limits are passed over."""
        mails = [email.message_from_bytes(mail, policy=default) for mail in self.host.fetch(ALICE)]
        return [mail for mail in mails if mail.get_content_type() == "multipart/report"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    dns = FakeDns({})
    (port,) = free_ports(1, "0.0.0.0")
    settings = {
        "outbound": {"prohibited_networks": [], "nameservers": [dns.server], "port": port},
        "queue": {"retry": ["1s"], "give_up_after": "20s", "warn_after": "3s"},
    }
    with Host(tmp_path_factory.mktemp("out") / "host", settings=settings).init() as host:
        host.add_domain("example.test")
        for name in ("alice", "bob", "carol"):
            host.add_account(f"{name}@example.test")
        host.command("alias", "add", "list@example.test", "bob@example.test", "x@dsn.test")
        host.command("alias", "add", "held@example.test", "bob@example.test", "x@held.test")
        host.command("alias", "add", "away@example.test", "y@plain.test")
        made = World(host.start(), dns, port)
        yield made
        for server in made._servers:
            server.close()
        assert " bug " not in host.log_text()
    dns.close()


def test_the_second_host_serves_when_the_first_is_away(world: World) -> None:
    first, second = world.address(), world.address()
    world.domain("two.test", first, second)
    server = world.serve(second)
    began = time.monotonic()
    queue_id = world.submit("a@two.test", "b@two.test")
    wait_until(lambda: server.messages, "it has come")
    assert time.monotonic() - began < 10, "new mail leaves at once"
    assert world.until_ended(queue_id) == [
        ("accepted", ""),
        ("attempt", "a@two.test"),
        ("attempt", "b@two.test"),
        ("delivered", "a@two.test"),
        ("delivered", "b@two.test"),
    ]
    assert len(server.messages) == 1, "one transaction for both"


def test_a_deferral_is_tried_again_and_then_delivered(world: World) -> None:
    replies = iter([b"450 4.2.0 greylisted\r\n"])
    server = world.server("later.test", RCPT=lambda _: next(replies, b"250 ok\r\n"))
    queue_id = world.submit("a@later.test", rcpt="NOTIFY=FAILURE")
    events = [event for event, _ in world.until_ended(queue_id)]
    assert events == ["accepted", "attempt", "deferred", "attempt", "delivered"]
    assert len(server.messages) == 1


def test_lost_before_the_reply_to_the_content_it_comes_again(world: World) -> None:
    replies: Iterator[bytes | None] = iter([None])
    server = world.server("lost.test", content=lambda _: next(replies, b"250 taken\r\n"))
    queue_id = world.submit("a@lost.test", rcpt="NOTIFY=FAILURE")
    assert [event for event, _ in world.until_ended(queue_id)][-3:] == ["deferred", "attempt", "delivered"]
    assert len(server.messages) == 2


def test_at_the_end_of_its_time_it_expires_after_one_notice_of_delay(world: World) -> None:
    world.server("busy.test", RCPT=b"451 4.3.0 come back\r\n")
    queue_id = world.submit("a@busy.test", mail="ENVID=E1")
    events = [event for event, _ in world.until_ended(queue_id)]
    assert events[-2:] == ["expired", "bounced"]
    subjects = [report["Subject"] for report in world.reports_there()]
    assert subjects == ["Delayed mail: a@busy.test", "Undelivered mail: a@busy.test"]
    block = world.reports(2)["a@busy.test"]
    assert block["Diagnostic-Code"] == "smtp; 451 4.3.0 come back"


def test_reports_by_the_wishes_of_the_sender(world: World) -> None:
    dsn, plain = world.server("dsn.test"), world.server("plain.test", ALL[:4])
    world.server("bad.test", RCPT=b"550-5.1.1 No such user\r\n550 5.1.1 here\r\n")
    for recipient in ("bob", "list", "away"):
        wishes = f"NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;{recipient}+2Borig@example.test"
        world.submit(f"{recipient}@example.test", mail=f"ENVID={recipient}", rcpt=wishes)
    world.submit("z@dsn.test", mail="RET=FULL ENVID=z", rcpt="NOTIFY=SUCCESS")
    world.submit("never@bad.test", rcpt="NOTIFY=NEVER")
    world.submit("u@bad.test", mail="RET=FULL ENVID=u", rcpt="ORCPT=rfc822;orig+40else@bad.test")
    wait_until(lambda: not world.host.queue(), "all has ended", 60)
    blocks = world.reports(4)
    found = {
        address: (block["Action"], block["Envelope"], block["Original-Recipient"]) for address, block in blocks.items()
    }
    assert found == {
        "bob@example.test": ("delivered", "bob", "rfc822; bob+orig@example.test"),
        "list@example.test": ("expanded", "list", "rfc822; list+orig@example.test"),
        "y@plain.test": ("relayed", "away", "rfc822; away+orig@example.test"),
        "u@bad.test": ("failed", "u", "rfc822; orig@else@bad.test"),
    }
    failed = blocks["u@bad.test"]
    assert (failed["Status"], failed["Remote-MTA"]) == ("5.1.1", "dns; mx0.bad.test")
    assert failed["Diagnostic-Code"] == "smtp; 550 5.1.1 No such user here"
    assert "RCPT TO:<x@dsn.test> NOTIFY=FAILURE ORCPT=rfc822;list+2Borig@example.test" in dsn.lines
    assert "RCPT TO:<z@dsn.test> NOTIFY=SUCCESS" in dsn.lines
    assert "RCPT TO:<y@plain.test>" in plain.lines


def test_wishes_outlive_a_limit_that_held_the_mail(world: World) -> None:
    server = world.server("held.test")
    world.host.command("limit", "set", ALICE, "--per", "day", "--recipients", "0", "--over", "hold")
    time.sleep(1)  # the promise of the live directory
    queue_id = world.submit(
        "held@example.test", mail="ENVID=h", rcpt="NOTIFY=SUCCESS,DELAY ORCPT=rfc822;l@example.test"
    )
    assert [row["state"] for row in world.host.queue()] == ["held"]
    world.host.command("limit", "clear", ALICE)
    events = world.until_ended(queue_id)
    assert events[:3] == [("accepted", ""), ("held", "held@example.test"), ("released", "held@example.test")]
    assert ("delivered", "x@held.test") in events
    assert "RCPT TO:<x@held.test> NOTIFY=DELAY ORCPT=rfc822;l@example.test" in server.lines
    assert world.reports(1)["held@example.test"]["Action"] == "expanded"


def test_eight_bits_are_encoded_for_a_host_that_lacks_them(world: World) -> None:
    server = world.server("seven.test", ("PIPELINING",))
    text = "From: alice@example.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n"
    world.until_ended(world.submit("a@seven.test", mail="BODY=8BITMIME", content=text.encode()))
    (content,) = server.messages
    assert content.isascii()
    message = email.message_from_bytes(content, policy=default)
    assert message.get_content().strip() == "Grüße"  # type: ignore[attr-defined]


def test_the_verbs_of_the_queue_beside_the_server(world: World) -> None:
    host = world.host
    world.domain("off.test", world.address())
    dropped = world.submit("gone@off.test", rcpt="NOTIFY=FAILURE")
    wait_until(lambda: ("deferred", "gone@off.test") in world.events(dropped), "it is deferred")
    host.command("queue", "hold", dropped)
    assert [row["state"] for row in host.queue()] == ["held"]
    host.command("queue", "drop", "--domain", "off.test")
    assert host.queue() == []
    assert [event for event, _ in world.events(dropped)][-2:] == ["held", "failed"]
    server = world.server("on.test", RCPT=b"450 4.2.0 not yet\r\n")
    queue_id = world.submit("a@on.test", rcpt="NOTIFY=FAILURE")
    wait_until(lambda: ("deferred", "a@on.test") in world.events(queue_id), "it is deferred")
    (row,) = host.queue()
    host.command("queue", "hold", row["id"])
    del server.answers["RCPT"]
    host.command("queue", "release", "--all")
    assert [event for event, _ in world.until_ended(queue_id)][-3:] == ["released", "attempt", "delivered"]
    assert world.reports_there() == [], "what an administrator drops is not answered"
