"""SMTP in, sentence by sentence of the contract and the RFCs, on a whole host and with octets of our own."""

import re
import socket
from collections.abc import Iterator

import pytest

from tests.end_to_end.talk import Talk, mx, take_all, take_one
from tests.host import Host
from tests.net.fake_dns import FakeDns

KEYWORDS = ["PIPELINING", "SIZE 1048576", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING"]
LIMITS = "LIMITS RCPTMAX=10 MAILMAX=100000"
ZONE = {
    ("b.example", "MX"): ["10 mx.b.example."],
    ("null.example", "MX"): ["0 ."],
    ("gone.example", "*"): "NXDOMAIN",
    ("sick.example", "*"): "SERVFAIL",
}
BOB = "bob@example.test"
STAMP = re.compile(
    r"Return-Path: <a@b\.example>\r\nDelivered-To: bob@example\.test\r\n"
    r"Received: from client\.example \(\[127\.0\.0\.1\]\)\r\n\tby mx\.example\.test with ESMTP id (M\w+)"
    r"\r\n\tfor <bob@example\.test>;\r\n\t\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\n"
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    dns = FakeDns(ZONE)
    settings = {
        "smtp": {"max_message_size": "1M", "max_recipients": 10, "soft_errors": 500, "hard_errors": 1000},
        "outbound": {"nameservers": [dns.server], "prohibited_networks": []},
    }
    with Host(tmp_path_factory.mktemp("mx"), settings=settings).init() as host:
        host.add_domain("example.test")
        host.add_domain("relay.test", "--kind", "relay", "--next-hop", "127.0.0.1:9")
        host.add_domain("bücher.test")
        for account in (BOB, "alice@example.test", "jürgen@example.test", "info@bücher.test"):
            host.add_account(account)
        host.add_account("small@example.test", "--quota", "2K")
        host.command("alias", "add", "team@example.test", BOB, "alice@example.test")
        host.command("alias", "add", "ring@example.test", "gnir@example.test", BOB)
        host.command("alias", "add", "gnir@example.test", "ring@example.test")
        yield host.start()
    dns.close()


def keywords(reply: str) -> list[str]:
    """What EHLO offers, of a well-formed reply."""
    lines = reply.split("\r\n")
    assert [line[:4] for line in lines] == ["250-"] * (len(lines) - 1) + ["250 "]
    assert lines[0] == "250-mx.example.test"
    return [line[4:] for line in lines[1:]]


def test_ehlo_offers_what_the_contract_says_on_each_port(host: Host) -> None:
    auth = "AUTH PLAIN LOGIN SCRAM-SHA-256"
    for service, with_tls in (("smtp", [LIMITS]), ("submission", [LIMITS, auth])):
        with Talk(host, service) as talk:
            assert talk.greeting.startswith("220 mx.example.test ESMTP")
            assert sorted(keywords(talk.smtp("EHLO a.example")[0])) == sorted([*KEYWORDS, LIMITS, "STARTTLS"])
            assert talk.smtp("HELO a.example") == ["250 mx.example.test"]
            assert talk.smtp("STARTTLS")[0].startswith("220 ")
            talk.start_tls()
            assert talk.smtp("MAIL FROM:<>") == ["503 5.5.1 say EHLO first"]
            assert sorted(keywords(talk.smtp("EHLO a.example")[0])) == sorted([*KEYWORDS, *with_tls])
    with Talk(host, "submissions", tls=True) as talk:
        assert sorted(keywords(talk.smtp("EHLO a.example")[0])) == sorted([*KEYWORDS, LIMITS, auth])


def test_what_was_said_before_tls_never_counts(host: Host) -> None:
    with mx(host) as talk:
        talk.send("STARTTLS\r\nEHLO injected\r\nMAIL FROM:<a@b.example>\r\n")
        assert talk.reply().startswith("220 ")
        talk.start_tls()
        assert talk.smtp("NOOP", "MAIL FROM:<a@b.example>") == ["250 2.0.0 OK", "503 5.5.1 say EHLO first"]


@pytest.mark.parametrize(
    ("recipient", "answer"),
    [
        ("bob@example.test", "250 2.1.5"),
        ("BOB+tag+more@Example.TEST", "250 2.1.5"),
        ('"bob"@example.test', "250 2.1.5"),
        ("@a.example,@b.example:bob@example.test", "250 2.1.5"),
        ("team@example.test", "250 2.1.5"),
        ("ring@example.test", "250 2.1.5"),
        ("postmaster", "250 2.1.5"),
        ("PostMaster@example.test", "250 2.1.5"),
        ("postmaster@xn--bcher-kva.test", "250 2.1.5"),
        ("info@xn--bcher-kva.test", "250 2.1.5"),
        ("any@relay.test", "250 2.1.5"),
        ("nobody@example.test", "550 5.1.1"),
        ("bob%elsewhere.example@example.test", "550 5.1.1"),
        ("bob@elsewhere.example", "550 5.7.1"),
        ("@example.test:bob@elsewhere.example", "550 5.7.1"),
        ("bob@[127.0.0.1]", "550 5.7.1"),
        ("bob@[127.0.0.256]", "501 5.1.3"),
        ("bob@[IPv6:::zz]", "501 5.1.3"),
        ("bob@example..test", "501 5.1.3"),
        (".bob@example.test", "501 5.1.3"),
        ("x" * 65 + "@example.test", "501 5.1.3"),
        ("bob", "501 5.1.3"),
        ("", "501 5.1.3"),
        ("jürgen@example.test", "553 5.6.7"),
        ("info@bücher.test", "553 5.6.7"),
    ],
)
def test_a_recipient_is_taken_or_refused_at_rcpt(host: Host, recipient: str, answer: str) -> None:
    with mx(host) as talk:
        assert talk.smtp("MAIL FROM:<>", f"RCPT TO:<{recipient}>")[1].startswith(answer)


@pytest.mark.parametrize(
    ("sender", "answer"),
    [
        ("a@b.example", "250 2.1.0"),
        ("", "250 2.1.0"),
        ("a@example.test", "250 2.1.0"),
        ("a@[192.0.2.1]", "250 2.1.0"),
        ("a@sick.example", "250 2.1.0"),
        ("a@gone.example", "550 5.1.8"),
        ("a@null.example", "550 5.7.27"),
        ("é@b.example", "553 5.6.7"),
        ("nobody", "501 5.1.7"),
    ],
)
def test_a_sender_whose_domain_cannot_be_is_refused(host: Host, sender: str, answer: str) -> None:
    with mx(host) as talk:
        assert talk.smtp(f"MAIL FROM:<{sender}>")[0].startswith(answer)


def test_smtputf8_names_and_domains_in_both_forms(host: Host) -> None:
    recipients = ["jürgen@example.test", "JÜRGEN@example.test", "info@bücher.test", "info@BÜCHER.test"]
    with mx(host) as talk:
        commands = [
            "MAIL FROM:<ä@b.example> SMTPUTF8",
            *(f"RCPT TO:<{name}>" for name in recipients),
            "RCPT TO:<ö@example.test>",
        ]
        replies = talk.smtp(*commands)
        assert [reply[:9] for reply in replies] == ["250 2.1.0", *["250 2.1.5"] * 4, "550 5.1.1"]
        assert all(reply.isascii() for reply in replies)
        talk.smtp("DATA")
        assert talk.smtp("Subject: ü\r\n\r\nü\r\n.")[0].startswith("250 2.0.0")
    mail = take_one(host, "jürgen@example.test")
    assert mail.startswith("Return-Path: <ä@b.example>\r\nDelivered-To: jürgen@example.test\r\n")
    assert "with UTF8SMTP id" in mail
    assert take_one(host, "info@xn--bcher-kva.test").endswith("Subject: ü\r\n\r\nü\r\n")


CONTENTS = [
    "",
    "Subject: header only\r\n",
    "Subject: x\r\n\r\n",
    "Subject: blanks \t \r\n folded\r\n\tagain \r\n\r\n \r\ntrailing  \r\n\r\n\r\n",
    "Subject: dots\r\n\r\n..\r\n...\r\n..x\r\n",
    "\r\n" + "a\r\n" * 30,
    "Subject: ü\r\n\r\n\x01\x7f\x1a ü\r\n",
]


@pytest.mark.parametrize("bytewise", [False, True], ids=["pipelined", "bytewise"])
@pytest.mark.parametrize("content", CONTENTS)
def test_content_comes_back_byte_for_byte_behind_our_fields(host: Host, content: str, bytewise: bool) -> None:
    with mx(host) as talk:
        talk.send(f"MAIL FROM:<a@b.example>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n{content}.\r\nQUIT\r\n", bytewise=bytewise)
        replies = [talk.reply() for _ in range(5)]
    assert [reply[:3] for reply in replies] == ["250", "250", "354", "250", "221"]
    mail = take_one(host, BOB)
    stamp = STAMP.match(mail)
    assert stamp
    assert replies[3] == f"250 2.0.0 accepted as {stamp[1]}"
    assert mail[stamp.end() :] == re.sub(r"(?m)^\.\.", ".", content)


@pytest.mark.parametrize("bytewise", [False, True], ids=["pipelined", "bytewise"])
@pytest.mark.parametrize(
    "bad",
    [
        "a\nb",
        "a\rb",
        "a\0b",
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\r\n\r.\r\n",
        "\r\r\n.\r\r\n",
    ],
)
def test_smuggled_commands_are_content_to_the_true_end(host: Host, bad: str, bytewise: bool) -> None:
    smuggled = f"x{bad}MAIL FROM:<evil@b.example>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nSubject: evil\r\n"
    with mx(host) as talk:
        talk.smtp("MAIL FROM:<a@b.example>", f"RCPT TO:<{BOB}>", "DATA")
        talk.send(f"{smuggled}.\r\nNOOP\r\nMAIL FROM:<a@b.example>\r\n", bytewise=bytewise)
        assert [talk.reply()[:9] for _ in range(3)] == ["554 5.6.0", "250 2.0.0", "250 2.1.0"]
    assert take_all(host, BOB) == []


def test_a_client_that_says_all_and_closes_its_side_hears_the_answers(host: Host) -> None:
    with Talk(host, "smtp") as talk:
        talk.send(f"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nSubject: x\r\n.\r\n")
        talk.socket.shutdown(socket.SHUT_WR)
        assert [talk.reply()[:3] for _ in range(5)] == ["250", "250", "250", "354", "250"]
        assert talk.line() == ""
    take_one(host, BOB)


def test_chunks_pipelined_make_one_mail(host: Host) -> None:
    with mx(host) as talk:
        talk.send(f"MAIL FROM:<a@b.example>\r\nRCPT TO:<{BOB}>\r\nBDAT 12\r\nSubject: x\r\n")
        talk.send("BDAT 3\r\n\r\n.BDAT 9 LAST\r\n\r\nno end\rQUIT\r\n")
        assert [talk.reply()[:3] for _ in range(6)] == ["250", "250", "250", "250", "554", "221"]
    with mx(host) as talk:
        talk.send(
            f"MAIL FROM:<>\r\nRCPT TO:<{BOB}>\r\nBDAT 14\r\nSubject: x\r\n\r\nBDAT 6\r\n.\r\nendBDAT 0 LAST\r\nNOOP\r\n"
        )
        assert [talk.reply()[:9] for _ in range(6)][2:] == ["250 2.0.0", "250 2.0.0", "250 2.0.0", "250 2.0.0"]
    assert take_one(host, BOB).endswith("Subject: x\r\n\r\n.\r\nend\r\n")


def test_what_is_too_much_is_refused_and_the_session_goes_on(host: Host) -> None:
    size = 1024 * 1024
    with mx(host) as talk:
        assert talk.smtp(f"MAIL FROM:<> SIZE={size + 1}")[0].startswith("552 5.3.4")
        assert talk.mail("x" * 998 + "\r\n", BOB).startswith("250 ")
        assert talk.mail(("x" * 998 + "\r\n") * (size // 1000 + 1), BOB).startswith("552 5.3.4")
        assert talk.mail("x" * 70_000 + "\r\n", BOB).startswith("554 5.6.0")
        assert talk.smtp("NOOP " + "x" * 2050)[0].startswith("500 5.5.2")
        replies = talk.smtp("MAIL FROM:<>", *[f"RCPT TO:<{BOB}>"] * 12)
        assert [reply[:9] for reply in replies[-3:]] == ["250 2.1.5", "452 4.5.3", "452 4.5.3"]
    assert len(take_all(host, BOB)) == 1


def test_the_fifty_first_received_field_is_a_loop(host: Host) -> None:
    with mx(host) as talk:
        assert talk.mail("Received: from a by b\r\n\t; then\r\n" * 51 + "\r\n", BOB).startswith("554 5.4.6")
        assert talk.mail("received : from a by b\r\n" * 50 + "\r\nReceived: body\r\n", BOB).startswith("250 2.0.0")
    assert len(take_all(host, BOB)) == 1


def test_a_full_mailbox_is_told_at_rcpt(host: Host) -> None:
    small = "small@example.test"
    with mx(host) as talk:
        replies = talk.smtp("MAIL FROM:<> SIZE=3000", f"RCPT TO:<{small}>", f"RCPT TO:<{BOB}>", "RSET")
        assert [reply[:9] for reply in replies[1:3]] == ["452 4.2.2", "250 2.1.5"]
        assert talk.mail("x" * 900 + "\r\n" + "x" * 900 + "\r\n", small).startswith("250 ")
        assert talk.mail("x" * 900 + "\r\n", small).startswith("250 ")  # a little was left when RCPT asked
        assert talk.mail("x\r\n", small).startswith("452 4.2.2")
    assert len(take_all(host, small)) == 2


def test_an_account_gets_one_copy_by_however_many_ways(host: Host) -> None:
    with mx(host) as talk:
        names = ("team@example.test", BOB, "ring@example.test", "bob+x@example.test")
        assert talk.mail("Subject: once\r\n", *names).startswith("250 2.0.0")
    assert "\r\n\tfor " not in take_one(host, BOB)
    assert len(take_all(host, "alice@example.test")) == 1


def test_mail_for_a_domain_we_back_up_waits_in_the_queue(host: Host) -> None:
    with mx(host) as talk:
        queue_id = talk.mail("Subject: x\r\n", "any@relay.test").rpartition(" ")[2]
    (row,) = [row for row in host.queue() if row["message"] == queue_id]
    assert (row["recipient"], row["state"], row["reverse_path"]) == ("any@relay.test", "waiting", "a@b.example")


def test_every_reply_to_a_command_has_its_enhanced_code(host: Host) -> None:
    commands = ["NOOP x", "RSET", "VRFY bob", "EXPN team", "HELP", "HELP MAIL", "DATA", "BDAT 0 LAST", "RCPT TO:<a@b>"]
    commands += ["FOO", "", "AUTH PLAIN", "STARTTLS x", "EHLO", "MAIL", "MAIL FROM:<> X=1", "RSET x", "QUIT x", "QUIT"]
    with mx(host) as talk:
        for reply in talk.smtp(*commands):
            assert re.match(r"([245])\d\d \1\.\d{1,3}\.\d{1,3} \S", reply), reply
