"""The whole way out over real sockets: a fake DNS, fake mail servers, and what each recipient's outcome is."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from mailstack.config import Outbound
from mailstack.delivery import preparation
from mailstack.delivery.remote import NextHop, OutgoingMail, RemoteDelivery
from mailstack.mail.address import NULL_SENDER, parse_address
from mailstack.mail.envelope import Body, Envelope, Notify, Recipient
from mailstack.mail.outcome import Deferred as DeferredMail
from mailstack.mail.outcome import Delivered, Failed
from mailstack.net.resolver import Resolver
from tests.net.fake_dns import FakeDns
from tests.net.fake_mx import FakeMx, make_tls

CONTENT = b"Subject: hello\r\n\r\n.dotted\r\nlast\r\n"
ALL = ("PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8", "DSN")
ANYWHERE = Outbound(prohibited_networks=())


class Content:
    def __init__(self, octets, block=65536):
        self.octets = octets
        self.size_octets = len(octets)
        self.block = block

    async def chunks(self):
        for start in range(0, len(self.octets), self.block):
            yield self.octets[start : start + self.block]


class FailingContent(Content):
    reads = 0

    async def chunks(self):
        self.reads += 1
        async for block in super().chunks():
            yield block
            if self.reads > 1:
                raise OSError("disk")


def mail(*addresses, content=CONTENT, **envelope):
    recipients = [Recipient(parse_address(address)) for address in addresses or ("bob@example.org",)]
    sender = envelope.pop("sender", NULL_SENDER)
    return OutgoingMail("M1", Envelope(sender, recipients, **envelope), Content(content))


@pytest.fixture
def dns():
    fake = FakeDns({})
    yield fake
    fake.close()


class World:
    """Fake servers, and our delivery towards them."""

    def __init__(self, dns):
        self.dns = dns
        self.servers = []
        self.deliveries = []

    def mx(self, *extensions, interface="127.0.0.1", port=0, **kwargs):
        server = FakeMx(*extensions, **kwargs)
        self.servers.append(server)
        server.number = server.listen(interface, port)
        return server

    def delivery(self, config=ANYWHERE, **kwargs):
        resolver = Resolver(reactor, [self.dns.server])
        delivery = RemoteDelivery(reactor, config, "us.example", resolver, shuffle=lambda hosts: None, **kwargs)
        self.deliveries.append(delivery)
        return delivery

    def one(self, *extensions, **kwargs):
        server = self.mx(*extensions, **kwargs)
        return server, self.delivery(), NextHop.host("127.0.0.1", server.number)


@pytest_twisted.async_yield_fixture
async def world(dns):
    world = World(dns)
    yield world
    for delivery in world.deliveries:
        await delivery.close()
    for server in world.servers:
        await server.close()
    await pause(0.02)  # both ends of each connection see that it is gone


def kinds(outcomes):
    return [(type(outcome), outcome.reply.code) for outcome in outcomes]


@pytest_twisted.ensureDeferred
async def test_pipelined_and_reused(world):
    server, delivery, hop = world.one(*ALL)
    for _ in range(3):
        (outcome,) = await delivery.deliver(hop, mail())
        assert isinstance(outcome, Delivered)
        assert outcome.dsn_relayed
        assert str(outcome.reply) == "250 2.0.0 taken"
        assert outcome.peer == f"127.0.0.1[127.0.0.1]:{server.number}"
    assert server.messages == [CONTENT] * 3
    (connection,) = server.connections
    assert connection.writes[1] == (
        f"MAIL FROM:<> SIZE={len(CONTENT)}\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n".encode()
    )
    assert len(connection.writes) == 7  # EHLO, then two for each message


@pytest_twisted.ensureDeferred
async def test_without_any_extension(world):
    server, delivery, hop = world.one(answers={"EHLO": b"502 what\r\n"})
    outcomes = await delivery.deliver(hop, mail("a@example.org", "b@example.org"))
    assert kinds(outcomes) == [(Delivered, 250)] * 2
    assert not outcomes[0].dsn_relayed
    assert server.lines[:4] == ["EHLO us.example", "HELO us.example", "MAIL FROM:<>", "RCPT TO:<a@example.org>"]
    assert server.messages == [CONTENT]


@pytest_twisted.ensureDeferred
async def test_chunking(world):
    server, delivery, hop = world.one(*ALL, "CHUNKING")
    (outcome,) = await delivery.deliver(hop, mail())
    assert isinstance(outcome, Delivered)
    assert server.messages == [CONTENT]
    assert f"BDAT {len(CONTENT)} LAST" in server.lines


@pytest.mark.parametrize("extensions", [ALL, (*ALL, "CHUNKING"), ()])
@pytest_twisted.ensureDeferred
async def test_each_recipient_has_an_outcome_of_its_own(world, extensions):
    answers = {
        "RCPT TO:<gone@example.org>": b"550 5.1.1 who?\r\n",
        "RCPT TO:<grey@example.org>": b"450 4.7.1 later\r\n",
    }
    server, delivery, hop = world.one(*extensions, answers=answers)
    outcomes = await delivery.deliver(hop, mail("gone@example.org", "ok@example.org", "grey@example.org"))
    assert kinds(outcomes) == [(Failed, 550), (Delivered, 250), (DeferredMail, 450)]
    assert kinds(await delivery.deliver(hop, mail("gone@example.org"))) == [(Failed, 550)]
    assert kinds(await delivery.deliver(hop, mail())) == [(Delivered, 250)]
    assert len(server.connections) == 1
    assert server.messages == [CONTENT] * 2


@pytest_twisted.ensureDeferred
async def test_large_content_streams(world):
    large = b"".join(b".line %d of many\r\n" % number for number in range(200_000))
    server, delivery, hop = world.one("PIPELINING")
    chunking, _, other = world.one("PIPELINING", "CHUNKING")
    for target, where in ((server, hop), (chunking, other)):
        assert kinds(await delivery.deliver(where, mail(content=large))) == [(Delivered, 250)]
        assert target.messages == [large]


@pytest_twisted.ensureDeferred
async def test_own_content_that_cannot_be_read_delivers_nothing(world):
    server, delivery, hop = world.one("PIPELINING")
    broken = replace(mail(), content=FailingContent(b"x" * 78 + b"\r\n" * 100_000))
    with pytest.raises(OSError, match="disk"):
        await delivery.deliver(hop, broken)
    assert server.messages == []


@pytest_twisted.ensureDeferred
async def test_lost_before_the_reply_to_the_content(world):
    _, delivery, hop = world.one(*ALL, answers={"content": None})
    (outcome,) = await delivery.deliver(hop, mail())
    assert isinstance(outcome, DeferredMail)
    assert str(outcome.reply).startswith("451 4.4.2")
    assert "reply to the content" in outcome.reply.text


@pytest.mark.parametrize("death", [None, b"421 idle too long\r\n"])
@pytest_twisted.ensureDeferred
async def test_a_dead_idle_connection_is_replaced(world, death):
    server, delivery, hop = world.one(*ALL)
    await delivery.deliver(hop, mail())
    server.answers["MAIL"] = lambda session: death if session is server.connections[0] else b"250 ok\r\n"
    assert kinds(await delivery.deliver(hop, mail())) == [(Delivered, 250)]
    assert len(server.connections) == 2


@pytest_twisted.ensureDeferred
async def test_421_on_a_fresh_connection_defers_the_destination(world):
    _, delivery, hop = world.one(*ALL, answers={"MAIL": b"421 4.7.0 slow down\r\n"})
    (outcome,) = await delivery.deliver(hop, mail())
    assert isinstance(outcome, DeferredMail)
    assert outcome.whole_destination
    assert outcome.reply.text == "slow down"


@pytest_twisted.ensureDeferred
async def test_many_recipients_go_by_hundreds_or_by_the_peers_limit(world):
    server, delivery, hop = world.one(*ALL)
    many = [f"r{number}@example.org" for number in range(250)]
    assert kinds(await delivery.deliver(hop, mail(*many))) == [(Delivered, 250)] * 250
    assert len(server.messages) == 3
    limited, _, other = world.one(*ALL, "LIMITS RCPTMAX=4")
    assert kinds(await delivery.deliver(other, mail(*many[:10]))) == [(Delivered, 250)] * 10
    assert len(limited.messages) == 3
    assert len(limited.connections) == 1


@pytest_twisted.ensureDeferred
async def test_too_many_recipients_go_again_at_once(world):
    taken = []

    def rcpt(session):
        taken.append(len(session.mx.messages))
        if taken.count(len(session.mx.messages)) > 2:
            return b"452 4.5.3 too many\r\n"
        session.has_recipient = True
        return b"250 ok\r\n"

    server, delivery, hop = world.one(*ALL, answers={"RCPT": rcpt})
    five = [f"r{number}@example.org" for number in range(5)]
    assert kinds(await delivery.deliver(hop, mail(*five))) == [(Delivered, 250)] * 5
    assert len(server.messages) == 3


@pytest_twisted.ensureDeferred
async def test_over_the_peers_size(world):
    server, delivery, hop = world.one("SIZE 10")
    (outcome,) = await delivery.deliver(hop, mail())
    assert isinstance(outcome, Failed)
    assert str(outcome.reply).startswith("552 5.3.4")
    assert server.messages == []


UTF8_CONTENT = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n".encode()


@pytest_twisted.ensureDeferred
async def test_eight_bits(world):
    able, delivery, hop = world.one(*ALL)
    unable, _, other = world.one("PIPELINING")
    assert kinds(await delivery.deliver(hop, mail(content=UTF8_CONTENT))) == [(Delivered, 250)]
    assert able.messages == [UTF8_CONTENT]
    assert any("BODY=8BITMIME" in line for line in able.lines)
    assert kinds(await delivery.deliver(other, mail(content=UTF8_CONTENT, body=Body.EIGHT_BIT))) == [(Delivered, 250)]
    assert b"Gr=C3=BC=C3=9Fe\r\n" in unable.messages[0]
    assert not any("BODY" in line for line in unable.lines)
    (outcome,) = await delivery.deliver(other, mail(content="Subject: ü\r\n\r\nü\r\n".encode()))
    assert isinstance(outcome, Failed)
    assert str(outcome.reply.status) == "5.6.7"


@pytest_twisted.ensureDeferred
async def test_long_lines_and_what_is_too_large_to_convert(world, monkeypatch):
    server, delivery, hop = world.one(*ALL)
    other, _, unable = world.one("PIPELINING")
    long_line = b"Subject: x\r\n\r\n" + b"y" * 2000 + b"\r\n"
    await delivery.deliver(hop, mail(content=long_line))
    assert max(map(len, server.messages[0].split(b"\r\n"))) <= 76
    monkeypatch.setattr(preparation, "MAX_DOWNGRADE_OCTETS", 100)
    await delivery.deliver(hop, mail(content=long_line))
    assert server.messages[1] == long_line
    (outcome,) = await delivery.deliver(unable, mail(content=UTF8_CONTENT * 10))
    assert isinstance(outcome, Failed)
    assert str(outcome.reply.status) == "5.6.3"
    assert other.messages == []


@pytest_twisted.ensureDeferred
async def test_smtputf8_for_those_who_need_it(world):
    server, delivery, hop = world.one("PIPELINING", "8BITMIME")
    outcomes = await delivery.deliver(hop, mail("bob@example.org", "jürgen@example.org", "al@example.org"))
    assert kinds(outcomes) == [(Delivered, 250), (Failed, 550), (Delivered, 250)]
    assert str(outcomes[1].reply.status) == "5.6.7"
    assert server.lines.count("RCPT TO:<bob@example.org>") == 1
    sender = parse_address("jürgen@example.org")
    assert kinds(await delivery.deliver(hop, mail(sender=sender))) == [(Failed, 550)]
    able, _, other = world.one(*ALL)
    assert kinds(await delivery.deliver(other, mail(sender=sender))) == [(Delivered, 250)]
    assert any(line.endswith("SMTPUTF8") for line in able.lines)


@pytest_twisted.ensureDeferred
async def test_dsn_wishes_go_along(world):
    server, delivery, hop = world.one(*ALL)
    outgoing = mail(envid="E1")
    outgoing.envelope.recipients[0] = Recipient(parse_address("b@x.example"), Notify.SUCCESS, "rfc822;o@x.example")
    await delivery.deliver(hop, outgoing)
    assert any(line.endswith("ENVID=E1") for line in server.lines)
    assert "RCPT TO:<b@x.example> NOTIFY=SUCCESS ORCPT=rfc822;o@x.example" in server.lines


# --- TLS and log-in ---------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_starttls_is_used_without_verification(world, tmp_path):
    server, delivery, hop = world.one(*ALL, "STARTTLS", tls=make_tls(tmp_path))
    assert kinds(await delivery.deliver(hop, mail())) == [(Delivered, 250)]
    assert server.lines[:3] == ["EHLO us.example", "STARTTLS", "EHLO us.example"]
    large = b"z" * 70 + b"\r\n"
    assert kinds(await delivery.deliver(hop, mail(content=large * 20_000))) == [(Delivered, 250)]
    assert server.messages[1] == large * 20_000
    assert len(server.connections) == 1


@pytest.mark.parametrize("answer", [b"220 go\r\nnot TLS at all\r\n", b"220 go\r\n", b"454 no\r\n"])
@pytest_twisted.ensureDeferred
async def test_tls_trouble_falls_back_to_the_clear(world, answer):
    def starttls(session):
        if answer == b"220 go\r\n":
            reactor.callLater(0.01, session.transport.write, b"no handshake\r\n")
        return answer

    server, delivery, hop = world.one("STARTTLS", answers={"STARTTLS": starttls})
    outcomes = await delivery.deliver(hop, mail())
    if b"not TLS" in answer:  # an attack, or a broken peer: not believed
        assert isinstance(outcomes[0], DeferredMail)
    else:
        assert kinds(outcomes) == [(Delivered, 250)]
        assert len(server.connections) == (1 if answer.startswith(b"454") else 2)


@pytest_twisted.ensureDeferred
async def test_smarthost_with_password(world, tmp_path):
    server = world.mx("STARTTLS", "AUTH PLAIN", tls=make_tls(tmp_path))
    hop = NextHop.smarthost("127.0.0.1", server.number, "us", "secret")
    trusting = world.delivery(replace(ANYWHERE, smarthost_verify=False))
    assert kinds(await trusting.deliver(hop, mail())) == [(Delivered, 250)]
    assert "AUTH PLAIN AHVzAHNlY3JldA==" in server.lines
    server.lines.clear()
    (outcome,) = await world.delivery().deliver(hop, mail())
    assert isinstance(outcome, DeferredMail)
    assert "TLS handshake" in outcome.reply.text
    assert not any("AUTH" in line for line in server.lines)


@pytest_twisted.ensureDeferred
async def test_no_password_without_tls_and_a_refused_one_defers(world, tmp_path):
    clear = world.mx("AUTH PLAIN")
    delivery = world.delivery(replace(ANYWHERE, smarthost_verify=False))
    (outcome,) = await delivery.deliver(NextHop.smarthost("127.0.0.1", clear.number, "us", "secret"), mail())
    assert isinstance(outcome, DeferredMail)
    assert not any("AUTH" in line for line in clear.lines)
    refusing = world.mx("STARTTLS", "AUTH PLAIN", tls=make_tls(tmp_path), answers={"AUTH": b"535 5.7.8 no\r\n"})
    (outcome,) = await delivery.deliver(NextHop.smarthost("127.0.0.1", refusing.number, "us", "bad"), mail())
    assert isinstance(outcome, DeferredMail)
    assert outcome.whole_destination
    assert outcome.reply.code == 535


# --- the way to the host ----------------------------------------------------------------------------------------------


def at_mx(world, port, *hosts, domain="example.org"):
    """The domain's MX in order, each with its addresses; all on the same port."""
    world.dns.zone[domain, "MX"] = [f"{10 * number} {name}." for number, (name, _) in enumerate(hosts, 1)]
    for name, addresses in hosts:
        world.dns.zone[name, "A"] = addresses
    return world.delivery(replace(ANYWHERE, port=port)), NextHop.mx(domain)


@pytest_twisted.ensureDeferred
async def test_the_next_host_when_the_first_does_not_serve(world):
    first = world.mx(answers={"greeting": b"554 go away\r\n"}, interface="127.0.0.2")
    second = world.mx(*ALL, interface="127.0.0.3", port=first.number)
    delivery, hop = at_mx(
        world, first.number, ("dead.test", ["127.0.0.9"]), ("mx1.test", ["127.0.0.2"]), ("mx2.test", ["127.0.0.3"])
    )
    (outcome,) = await delivery.deliver(hop, mail())
    assert isinstance(outcome, Delivered)
    assert outcome.peer == f"mx2.test[127.0.0.3]:{first.number}"
    assert second.messages == [CONTENT]


@pytest.mark.parametrize(
    ("greeting", "kind"),
    [
        (b"554 5.7.1 listed\r\n", DeferredMail),
        (b"421 busy\r\n", DeferredMail),
        (None, DeferredMail),
        (b"521 no mail here\r\n", Failed),
    ],
)
@pytest_twisted.ensureDeferred
async def test_refused_greetings(world, greeting, kind):
    server = world.mx(answers={"greeting": greeting})
    delivery, hop = at_mx(world, server.number, ("mx1.test", ["127.0.0.1"]))
    (outcome,) = await delivery.deliver(hop, mail())
    assert isinstance(outcome, kind)
    if kind is DeferredMail:
        assert outcome.whole_destination


@pytest_twisted.ensureDeferred
async def test_at_most_five_addresses(world):
    server = world.mx(*ALL, interface="127.0.0.60")
    dead = [f"127.0.0.{number}" for number in range(51, 56)]
    delivery, hop = at_mx(world, server.number, ("dead.test", dead), ("mx.test", ["127.0.0.60"]))
    (outcome,) = await delivery.deliver(hop, mail())
    assert isinstance(outcome, DeferredMail)
    assert outcome.whole_destination
    assert str(outcome.reply).startswith("451 4.4.1")
    assert server.connections == []


@pytest_twisted.ensureDeferred
async def test_a_domain_without_mx_is_its_own_host(world):
    server = world.mx(*ALL)
    world.dns.zone["plain.example", "A"] = ["127.0.0.1"]
    delivery = world.delivery(replace(ANYWHERE, port=server.number))
    assert kinds(await delivery.deliver(NextHop.mx("plain.example"), mail())) == [(Delivered, 250)]
    assert kinds(await delivery.deliver(NextHop.mx("[127.0.0.1]"), mail())) == [(Delivered, 250)]


@pytest_twisted.ensureDeferred
async def test_no_way_there(world):
    world.dns.zone |= {
        ("null.example", "MX"): ["0 ."],
        ("gone.example", "*"): "NXDOMAIN",
        ("broken.example", "*"): "SERVFAIL",
        ("loop.example", "MX"): ["10 us.example."],
        ("nohost.example", "MX"): ["10 gone.example."],
        ("loopback.example", "MX"): ["10 local.example."],
        ("local.example", "A"): ["127.0.0.1"],
    }
    delivery = world.delivery(Outbound(prohibited_networks=(ip_network("127.0.0.0/8"),)))
    expected = {
        "null.example": (Failed, "556 5.1.10"),
        "gone.example": (Failed, "550 5.1.2"),
        "broken.example": (DeferredMail, "451 4.4.3"),
        "loop.example": (Failed, "554 5.4.6"),
        "nohost.example": (Failed, "550 5.4.4"),
        "loopback.example": (Failed, "550 5.4.4"),
        "[127.0.0.1]": (Failed, "550 5.4.4"),
        "empty.example": (Failed, "550 5.4.4"),
    }
    for domain, (kind, words) in expected.items():
        (outcome,) = await delivery.deliver(NextHop.mx(domain), mail())
        assert isinstance(outcome, kind), domain
        assert str(outcome.reply).startswith(words), domain
    (outcome,) = await delivery.deliver(NextHop.host("127.0.0.1", 25), mail())
    assert isinstance(outcome, DeferredMail)


@pytest_twisted.ensureDeferred
async def test_several_at_once_have_connections_of_their_own(world):
    server, delivery, hop = world.one(*ALL)
    results = await gatherResults([Deferred.fromCoroutine(delivery.deliver(hop, mail())) for _ in range(5)])
    assert [kinds(result) for result in results] == [[(Delivered, 250)]] * 5
    assert len(server.connections) == 5
    await delivery.deliver(hop, mail())
    assert len(server.connections) == 5


@pytest.mark.parametrize("silent", ["greeting", "MAIL", "content"])
@pytest_twisted.ensureDeferred
async def test_a_cancelled_delivery_leaves_no_connection(world, silent):
    server, delivery, hop = world.one(answers={silent: b""})
    going = Deferred.fromCoroutine(delivery.deliver(hop, mail()))
    await pause()
    going.cancel()
    with pytest.raises(CancelledError):
        await going
    await server.connections[0].lost


@pytest_twisted.ensureDeferred
async def test_at_the_stop_what_has_no_connection_is_let_go_and_what_was_served_is_kept(world):
    server, delivery, hop = world.one(answers={"greeting": b""})
    waiting = Deferred.fromCoroutine(delivery.deliver(hop, mail()))
    one_by_one, other, other_hop = world.one("LIMITS RCPTMAX=1 MAILMAX=1", answers={"content": b""})
    half = Deferred.fromCoroutine(other.deliver(other_hop, mail("a@b.example", "c@b.example")))
    await pause()
    delivery.stop_opening()
    other.stop_opening()
    with pytest.raises(CancelledError):
        await waiting
    await server.connections[0].lost
    one_by_one.connections[0].transport.write(b"250 taken\r\n")
    assert kinds(await half) == [(Delivered, 250), (DeferredMail, 451)]


async def pause(seconds=0.1):
    over = Deferred()
    reactor.callLater(seconds, over.callback, None)
    await over


@pytest_twisted.ensureDeferred
async def test_a_connection_is_worn_out_after_the_peers_limit(world):
    server, delivery, hop = world.one(*ALL, "LIMITS MAILMAX=2")
    for _ in range(3):
        assert kinds(await delivery.deliver(hop, mail())) == [(Delivered, 250)]
    assert len(server.connections) == 2
    assert server.lines.count("QUIT") == 1
