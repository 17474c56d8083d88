"""We relay to a real Postfix, found by a real MX record: extensions, many recipients, greylisting, refusals, DSNs."""

import email
import email.policy
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from tests.host import Host, letter, wait_until
from tests.lab.greylist import Greylist
from tests.lab.knot import Knot
from tests.lab.needs import needs, needs_root
from tests.lab.peers import Postfix, make_certificate, peer_folder
from tests.sink import Sink

pytestmark = [*needs("postfix", "knotd"), needs_root("starts Postfix")]

ALICE = "alice@example.test"
BOXES = [f"box{number}" for number in range(60)]
MANY = [f"{box}@peer.test" for box in BOXES]


@dataclass
class World:
    host: Host
    postfix: Postfix

    def mail_in(self, box: str, count: int = 1) -> bytes:
        """The newest of the mails of a box, once there are so many; the box is emptied."""

        def arrived() -> list[bytes]:
            mails = self.postfix.mails(box)
            return mails if len(mails) >= count else []

        mails = wait_until(arrived, f"mail in {box}\n{self.host.log_text()[-1500:]}{self.log()[-3000:]}", timeout=60)
        self.postfix.clear(box)
        return mails[-1]

    def log(self) -> str:
        return self.postfix.log.read_text(errors="replace")

    def reports(self, count: int) -> list[EmailMessage]:
        """What was reported to Alice, parsed, once there are so many; her maildrop is emptied."""
        mails = self.host.wait_for_mail(ALICE, count, timeout=60)
        self.host.fetch(ALICE, delete=True)
        return [email.message_from_bytes(mail, policy=email.policy.default) for mail in mails]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        folder = stack.enter_context(peer_folder("mx"))
        grey = stack.enter_context(Greylist({"grey@peer.test", "gray@peer.test"}))
        postfix = Postfix(folder, "mx", {})
        certificate, key = make_certificate(folder, "mx.peer.test")
        knot = stack.enter_context(Knot(folder, {"test": "peer MX 10 mx.peer\nmx.peer A 127.0.0.1\n"}))
        outbound = {"nameservers": [knot.nameserver], "port": postfix.port, "prohibited_networks": ["10.0.0.0/8"]}
        queue = {"retry": ["2s"]}
        host = stack.enter_context(Host(folder / "host", settings={"outbound": outbound, "queue": queue}))
        postfix.settings = {
            "myhostname": "mx.peer.test",
            "virtual_mailbox_domains": "peer.test",
            "virtual_mailbox_maps": postfix.write_map("boxes", _boxes()),
            "smtpd_tls_chain_files": f"{key} {certificate}",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_received_header": "yes",
            "smtpd_recipient_restrictions": f"reject_unauth_destination, reject_unlisted_recipient, {grey.check}",
            "relayhost": f"[127.0.0.1]:{host.ports['smtp']}",  # its reports come back to our port 25
            "debug_peer_list": "127.0.0.1",
            "debug_peer_level": "1",  # the dialogue goes into the log
        }
        stack.callback(postfix.stop)
        postfix.start()
        host.init()
        host.add_domain("example.test")
        host.add_account(ALICE)
        yield World(host.start(), postfix)


def _boxes() -> dict[str, str]:
    names = ["carol", "grey", "gray", "jösé", *BOXES]
    return {f"{name}@peer.test": f"{name}/" for name in names}


def test_mail_goes_by_tls_and_arrives_whole(world: World) -> None:
    text = "ein Gruß — привет\n.\n..\nEnde\n"
    message = letter(ALICE, "carol@peer.test")
    message.set_content(text, cte="8bit")
    world.host.submit(ALICE, ["carol@peer.test"], message)
    mail = world.mail_in("carol")
    assert b"using TLSv1.3" in mail
    assert mail.endswith(("\n\n" + text).encode()), "8BITMIME: sent as it is"
    assert b"by mx.peer.test (Postfix) with ESMTPS" in mail
    dialogue = world.log()
    assert "STARTTLS" in dialogue
    assert re.search(r"< .*: BDAT \d+ LAST", dialogue), "CHUNKING is offered and used"
    assert re.search(r"< .*: MAIL FROM:<alice@example\.test> .*SIZE=\d+", dialogue)
    assert re.search(r"< .*: MAIL FROM:<alice@example\.test> .*BODY=8BITMIME", dialogue)


def test_many_recipients_of_a_domain_are_one_transaction(world: World) -> None:
    world.host.submit(ALICE, MANY, letter(ALICE, "everybody@peer.test", subject="to many"))
    for box in BOXES:
        assert b"Subject: to many" in world.mail_in(box)
    assert f"nrcpt={len(BOXES)} (queue active)" in world.log()
    assert world.host.queue() == []


def test_unicode_addresses_travel_by_smtputf8(world: World) -> None:
    with world.host.submission(ALICE) as session:
        message = "From: alice@example.test\r\nTo: jösé@peer.test\r\nSubject: ¡hola!\r\n\r\nñ\r\n".encode()
        session.sendmail(ALICE, ["jösé@peer.test"], message, mail_options=("SMTPUTF8", "BODY=8BITMIME"))
    mail = world.mail_in("jösé")
    assert b"with UTF8SMTPS" in mail
    assert "Subject: ¡hola!".encode() in mail


def test_a_refused_recipient_bounces_with_postfixs_own_words_and_the_others_get_their_mail(world: World) -> None:
    world.host.submit(ALICE, ["nobody@peer.test", "carol@peer.test"])
    world.mail_in("carol")
    (bounce,) = world.reports(1)
    report = bounce.as_string()
    assert bounce.get_content_type() == "multipart/report"
    assert "Status: 5.1.1" in report
    assert "Final-Recipient: rfc822; nobody@peer.test" in report
    assert re.search(r"Diagnostic-Code: smtp;\s+550\s+5\.1\.1\s+<nobody@peer\.test>:\s+Recipient\s+address", report)
    assert "Remote-MTA: dns; mx.peer.test" in report
    assert "carol@peer.test" not in report.partition("message/delivery-status")[2].partition("From:")[0]
    assert world.host.queue() == []


def test_a_greylisted_recipient_gets_its_mail_at_the_next_try_and_only_once(world: World) -> None:
    queue_id = world.host.submit(ALICE, ["grey@peer.test", "carol@peer.test"])
    world.mail_in("carol")
    world.mail_in("grey")
    wait_until(lambda: world.host.queue() == [], "an empty queue")
    events = world.host.events(queue_id)
    assert events.count("delivered") == 2
    assert events.count("deferred") == 1
    assert world.postfix.mails("carol") == []
    (story,) = world.host.json("trace", queue_id)
    assert any("Greylisted, come again soon" in event["detail"] for event in story["events"])


def test_the_wish_for_a_success_report_is_passed_on_and_the_report_comes_in(world: World) -> None:
    with world.host.submission(ALICE) as session:
        session.mail(ALICE, ["RET=HDRS", "ENVID=order-7"])
        session.rcpt("carol@peer.test", ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;C.Arol@peer.test"])
        assert session.data(letter(ALICE, "carol@peer.test").as_bytes(policy=SMTP))[0] == 250
    world.mail_in("carol")
    (report,) = world.reports(1)
    text = report.as_string()
    assert "(Postfix)" in text or "Mail Delivery System" in text
    assert "Action: delivered" in text
    assert "Original-Envelope-Id: order-7" in text
    assert "Original-Recipient: rfc822;C.Arol@peer.test" in text


def test_a_large_mail_goes_out_whole(world: World) -> None:
    text = "".join(f"line {number} of a large mail\n" for number in range(200_000))
    world.host.submit(ALICE, ["carol@peer.test"], letter(ALICE, "carol@peer.test", text=text))
    assert world.mail_in("carol").endswith(text.encode())


def test_postfix_that_is_away_gets_its_mail_when_it_is_back(world: World) -> None:
    world.postfix.stop()
    queue_id = world.host.submit(ALICE, ["carol@peer.test"])
    wait_until(lambda: "deferred" in world.host.events(queue_id), "a deferral")
    world.postfix.start()
    world.host.command("queue", "retry", "--domain", "peer.test")
    world.mail_in("carol")
    assert world.host.events(queue_id)[-1] == "delivered"


def test_a_mail_to_postfix_and_to_another_host_goes_to_both(world: World) -> None:
    with Sink() as sink:
        world.host.command("domain", "add", "sink.test", "--kind", "relay", "--next-hop", f"127.0.0.1:{sink.port}")
        wait_until(lambda: _is_known(world.host, "sink.test"), "the new domain")
        world.host.submit(ALICE, ["carol@peer.test", "dora@sink.test"])
        world.mail_in("carol")
        wait_until(lambda: [mail.recipients for mail in sink.taken] == [("dora@sink.test",)], "mail in the sink")


def _is_known(host: Host, domain: str) -> bool:
    with host.mx() as session:
        session.mail("")
        return session.rcpt(f"someone@{domain}")[0] == 250
