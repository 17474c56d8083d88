"""Submission, sentence by sentence: TLS, then AUTH, then a name that is the account's; what is added and taken out."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator

import pytest

from tests.end_to_end.talk import Talk, plain, submission, take_all, take_one
from tests.host import PASSWORD, Host, wait_until

ALICE, BOB = "alice@example.test", "bob@example.test"
FROM = f"From: {ALICE}\r\n"
STAMP = re.compile(
    r"Return-Path: <(?P<path>[^>]*)>\r\nDelivered-To: bob@example\.test\r\n"
    r"Received: from authenticated-user\r\n\tby mx\.example\.test with (?P<protocol>\w+) id (?P<id>M\w+)"
    r"\r\n\t\(using TLSv1\.[23] [\w-]+\)\r\n\tfor <bob@example\.test>;\r\n\t[^\r]+\r\n"
)
ADDED = re.compile(r"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\nMessage-ID: <M\w+@mx\.example\.test>\r\n")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    settings = {
        "smtp": {"soft_errors": 500, "hard_errors": 1000},
        "outbound": {"nameservers": ["127.0.0.1:9"]},
    }
    with Host(tmp_path_factory.mktemp("msa"), settings=settings).init() as host:
        host.add_domain("example.test")
        host.add_domain("bücher.test")
        accounts = (ALICE, BOB, "jürgen@example.test", "info@bücher.test", "late@example.test")
        for account in accounts:
            host.add_account(account)
        host.command("alias", "add", "team@example.test", ALICE, BOB)
        host.start()
        for account in accounts:  # who has been here before is not slowed down by the failures of others
            submission(host, account).socket.close()
        yield host


def submit(host: Host, content: str | bytes, **options: str) -> str:
    with submission(host, ALICE) as talk:
        return talk.mail(content, BOB, **{"sender": ALICE, **options})


def sent(host: Host, content: str, **options: str) -> str:
    """What arrives of a submitted content, behind our own fields; what was added for it is `ADDED`."""
    reply = submit(host, content, **options)
    assert reply.startswith("250 2.0.0 accepted as "), reply
    mail = take_one(host, BOB)
    stamp = STAMP.match(mail)
    assert stamp
    assert reply.endswith(stamp["id"])
    return ADDED.sub("ADDED ", mail[stamp.end() :])


def test_no_password_without_tls_and_no_mail_without_a_login(host: Host) -> None:
    with Talk(host, "submission") as talk:
        clear = talk.smtp(
            "EHLO a",
            f"AUTH PLAIN {plain(ALICE)}",
            f"MAIL FROM:<{ALICE}>",
            "RCPT TO:<x@y.example>",
            "DATA",
            "BDAT 0 LAST",
        )
        assert [reply[:10] for reply in clear[1:]] == ["538 5.7.11", *["530 5.7.0 "] * 4]
        talk.smtp("STARTTLS")
        talk.start_tls()
        within = talk.smtp(
            f"AUTH PLAIN {plain(ALICE)}", "EHLO a", f"MAIL FROM:<{ALICE}>", "RCPT TO:<x@y.example>", "DATA"
        )
        assert [reply[:9] for reply in within if not reply.startswith("250-")] == ["503 5.5.1", *["530 5.7.0"] * 3]
        assert [reply[:3] for reply in talk.smtp(f"AUTH PLAIN {plain(ALICE)}", f"MAIL FROM:<{ALICE}>")] == [
            "235",
            "250",
        ]


@pytest.mark.parametrize(
    ("lines", "answers"),
    [
        (["AUTH PLAIN", plain(ALICE)], ["334 ", "235 2.7.0 "]),
        (["auth plain", "*", "NOOP"], ["334 ", "501 5.7.0 ", "250 2.0.0 "]),
        ([f"AUTH PLAIN {plain(ALICE, authzid=ALICE)}", f"AUTH PLAIN {plain(ALICE)}"], ["235 2.7.0 ", "503 5.5.1 "]),
        ([f"AUTH PLAIN {plain(ALICE, authzid=BOB)}"], ["535 5.7.8 "]),
        (
            ["AUTH PLAIN =", "AUTH PLAIN !", "AUTH CRAM-MD5", "AUTH"],
            ["501 5.5.2 ", "501 5.5.2 ", "504 5.5.4 ", "504 5.5.4 "],
        ),
        (
            ["AUTH LOGIN", base64.b64encode(ALICE.encode()).decode(), base64.b64encode(PASSWORD.encode()).decode()],
            ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 "],
        ),
        (["AUTH LOGIN", "A" * 13_000, "NOOP"], ["334 VXNlcm5hbWU6", "500 5.5.6 ", "250 2.0.0 "]),
        ([f"AUTH PLAIN {plain('Alice@EXAMPLE.test')}"], ["235 2.7.0 "]),
        ([f"AUTH PLAIN {plain('jürgen@example.test')}"], ["235 2.7.0 "]),
        ([f"AUTH PLAIN {plain('info@bücher.test')}"], ["235 2.7.0 "]),
        ([f"AUTH PLAIN {plain('team@example.test')}"], ["535 5.7.8 "]),
        (["MAIL FROM:<>", f"AUTH PLAIN {plain(ALICE, 'wrong')}"], ["530 5.7.0 ", "535 5.7.8 "]),
    ],
)
def test_auth(host: Host, lines: list[str], answers: list[str]) -> None:
    with Talk(host, "submissions", tls=True) as talk:
        replies = talk.smtp("EHLO a", *lines)[1:]
        assert len(replies) == len(answers)
        assert all(map(str.startswith, replies, answers)), replies


@pytest.mark.parametrize(("gs2", "bare"), [("n,,", ""), ("y,,", ""), (f"n,a={ALICE},", ",x=extension")])
def test_scram_proves_both_sides(host: Host, gs2: str, bare: str) -> None:
    def encode(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    first = f"n={ALICE},r=nonce-of-the-client{bare}"
    with Talk(host, "submissions", tls=True) as talk:
        challenge = talk.smtp("EHLO a", f"AUTH SCRAM-SHA-256 {encode(gs2 + first)}")[1]
        server_first = base64.b64decode(challenge.removeprefix("334 ")).decode()
        nonce, salt, iterations = (part[2:] for part in server_first.split(","))
        assert nonce.startswith("nonce-of-the-client")
        without_proof = f"c={encode(gs2)},r={nonce}"
        message = f"{first},{server_first},{without_proof}".encode()
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), base64.b64decode(salt), int(iterations))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True))).decode()
        (final,) = talk.smtp(encode(f"{without_proof},p={proof}"))
        expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        assert base64.b64decode(final.removeprefix("334 ")) == b"v=" + base64.b64encode(expected)
        assert [reply[:3] for reply in talk.smtp("", f"MAIL FROM:<{ALICE}>")] == ["235", "250"]


@pytest.mark.parametrize("gs2", ["p=tls-exporter,,", f"n,a={BOB},"])
def test_scram_without_binding_and_for_oneself_only(host: Host, gs2: str) -> None:
    first = base64.b64encode(f"{gs2}n={ALICE},r=nonce".encode()).decode()
    with Talk(host, "submissions", tls=True) as talk:
        assert talk.smtp("EHLO a", f"AUTH SCRAM-SHA-256 {first}")[1].startswith("501 5.5.2")


@pytest.mark.parametrize(
    ("sender", "answer"),
    [
        (ALICE, "250 2.1.0"),
        ("Alice+tag@Example.test", "250 2.1.0"),
        ("team@example.test", "250 2.1.0"),
        ("", "250 2.1.0"),
        (BOB, "550 5.7.1"),
        ("x@elsewhere.example", "550 5.7.1"),
        ("nobody@example.test", "550 5.7.1"),
    ],
)
def test_the_reverse_path_is_the_accounts(host: Host, sender: str, answer: str) -> None:
    with submission(host, ALICE) as talk:
        assert talk.smtp(f"MAIL FROM:<{sender}>")[0].startswith(answer)


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        (f"From: {BOB}\r\n", "550 5.7.1"),
        (f"From : {BOB}\r\n", "550 5.7.1"),
        (f"From:\r\n {BOB}\r\n ({ALICE})\r\n", "550 5.7.1"),
        (f"From: {ALICE}, {BOB}\r\n", "550 5.7.1"),
        (f"From: <{ALICE}><{BOB}>\r\n", "550 5.7.1"),
        (f"{FROM}Sender: {BOB}\r\n", "550 5.7.1"),
        ("From: jürgen@example.test\r\n", "550 5.7.1"),
        (f"{FROM}{FROM}", "554 5.6.0"),
        (f"{FROM}Date: a\r\nDate: b\r\n", "554 5.6.0"),
        (f"From: {ALICE}) <{BOB}>\r\n", "554 5.6.0"),
        (f"From: ({ALICE}){BOB}\r\n", "554 5.6.0"),
        ("From: <>\r\n", "554 5.6.0"),
        ("From:\r\n", "554 5.6.0"),
        ("Received: x\r\n" * 51, "554 5.4.6"),
    ],
)
def test_from_and_sender_are_the_accounts_and_stand_there_once(host: Host, fields: str, answer: str) -> None:
    reply = submit(host, fields + "\r\n")
    assert reply.startswith(answer)
    assert reply.isascii()


@pytest.mark.parametrize(
    "author",
    [
        f"Alice <{ALICE}>",
        f'"{BOB}" <{ALICE}>',
        f"{ALICE} (not <{BOB}>)",
        "ALICE@EXAMPLE.TEST",
        f"{ALICE}, team@example.test",
        f"=?utf-8?q?bob=40example.test?= <{ALICE}>",
        f"Älice <{ALICE}>",
    ],
)
def test_a_from_of_the_account_passes_as_it_was_written(host: Host, author: str) -> None:
    assert sent(host, f"From: {author}\r\n\r\nü\r\n") == f"ADDED From: {author}\r\n\r\nü\r\n"


def test_missing_fields_are_added(host: Host) -> None:
    assert sent(host, "Subject: x\r\n\r\nx\r\n") == f"{FROM}ADDED Subject: x\r\n\r\nx\r\n"
    assert sent(host, "only words\r\n") == f"{FROM}ADDED \r\nonly words\r\n"
    assert sent(host, "", sender="") == f"{FROM}ADDED "
    assert (
        sent(host, f"Subject: x\r\nMessage-ID: <a@b>\r\n{FROM}Date: then\r\n")
        == f"Subject: x\r\nMessage-ID: <a@b>\r\n{FROM}Date: then\r\n"
    )


def test_bcc_is_taken_out_and_nothing_else(host: Host) -> None:
    around = f"{FROM}X-Bcc: s@x.example\r\nSubject: Bcc: s@x.example\r\n"
    secret = "Bcc: s@x.example\r\nBCC :\r\n\ta@x.example,\r\n b@x.example\r\nResent-Bcc: c@x.example\r\n"
    body = "To: z@x.example\r\n\r\nBcc: in the body \t\r\n\x01..\r\n"
    assert sent(host, f"{around}{secret}{body}") == f"ADDED {around}{body}"


def test_the_stamp_names_the_protocol(host: Host) -> None:
    for parameters, protocol in (("", "ESMTPSA"), (" BODY=8BITMIME", "ESMTPSA"), (" SMTPUTF8", "UTF8SMTPSA")):
        assert submit(host, FROM, parameters=parameters).startswith("250 ")
        stamp = STAMP.match(take_one(host, BOB))
        assert stamp
        assert (stamp["path"], stamp["protocol"]) == (ALICE, protocol)


def test_a_suspended_account_sends_no_more_in_a_session_that_is_open(host: Host) -> None:
    with submission(host, "late@example.test") as talk:
        assert talk.smtp("MAIL FROM:<late@example.test>", "RSET")[0].startswith("250")
        host.command("account", "suspend", "late@example.test")

        def is_refused() -> bool:
            reply = talk.smtp("MAIL FROM:<late@example.test>", "RSET")[0]
            return reply.startswith("550 5.7.13")

        wait_until(is_refused, "the refusal of a suspended account", timeout=30)
    assert take_all(host, BOB) == []
