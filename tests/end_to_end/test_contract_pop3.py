"""POP3, sentence by sentence of the contract and the RFCs, on a whole host and with octets of our own."""

import base64
import re
from collections.abc import Iterator

import pytest

from tests.end_to_end.talk import Talk, mx, plain, pop3, take_all
from tests.host import PASSWORD, Host, wait_until

ALICE, BOB, LATE = "alice@example.test", "bob@example.test", "late@delay.test"
COMMON = ["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8", "LANG", "IMPLEMENTATION Mailstack"]
LOGIN = ["USER", "SASL PLAIN LOGIN SCRAM-SHA-256"]
DOTTED = "Subject: dots\r\n\r\n..first\r\nsecond\r\n..\r\n"
HEADER = "Subject: header only\r\n"
WRONG_ARGUMENTS = {
    "RETR": ("", "0", "4", "-1", "x", "1 2", "9" * 20),
    "TOP": ("", "1", "1 -1", "1 1 1", "4 0"),
    "LIST": ("0", "4", "1 2"),
    "UIDL": ("4", "x"),
    "DELE": ("", "4"),
    "AUTH": ("PLAIN", "APOP"),
    "LANG": ("tlh",),
    **dict.fromkeys(("STAT", "NOOP", "RSET", "QUIT", "CAPA", "USER", "PASS"), ("1",)),
    **dict.fromkeys(("STLS", "UTF8", "APOP a b", "LAST", "XTND", "é", "x" * 300), ("",)),
}
REFUSED = [f"{verb} {argument}".strip() for verb, arguments in WRONG_ARGUMENTS.items() for argument in arguments]
LARGE = "Subject: large\r\n\r\n" + ("y" * 70 + "\r\n") * 20_000


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    settings = {"outbound": {"nameservers": ["127.0.0.1:9"]}}
    with Host(tmp_path_factory.mktemp("pop3"), settings=settings).init() as host:
        host.add_domain("example.test")
        host.add_domain("delay.test", "--login-delay", "3600", "--expire-days", "0")
        for account in (ALICE, BOB, LATE):
            host.add_account(account)
        yield host.start()


@pytest.fixture
def filled(host: Host) -> Iterator[Host]:
    """Bob has three mails: with dots, without a body, and a large one; afterwards none."""
    deliver(host, BOB, DOTTED, HEADER, LARGE)
    yield host
    wait_until(lambda: not is_in_use(host, BOB), "a free maildrop")
    take_all(host, BOB)


def deliver(host: Host, account: str, *contents: str) -> None:
    with mx(host) as talk:
        for content in contents:
            assert talk.mail(content, account, sender="").startswith("250 ")


def is_in_use(host: Host, account: str) -> bool:
    with Talk(host, "pop3s", tls=True) as talk:
        answer = talk.pop(f"USER {account}", f"PASS {PASSWORD}", "QUIT")[1]
    assert answer.startswith(("+OK ", "-ERR [IN-USE] ")), answer
    return answer.startswith("-ERR")


def test_capabilities_in_each_state(host: Host) -> None:
    with Talk(host, "pop3") as talk:
        assert talk.greeting.startswith("+OK ")
        assert "<" not in talk.greeting  # no APOP
        before = ["EXPIRE 0 USER", "LOGIN-DELAY 3600 USER"]
        assert sorted(talk.pop_lines("CAPA")) == sorted([*COMMON, *before, "STLS"])
        talk.pop("STLS")
        talk.start_tls()
        assert sorted(talk.pop_lines("CAPA")) == sorted([*COMMON, *before, *LOGIN])
    with pop3(host, ALICE) as talk:
        assert sorted(talk.pop_lines("CAPA")) == sorted([*COMMON, "EXPIRE NEVER", "LOGIN-DELAY 0", *LOGIN])


def test_no_password_without_tls_and_nothing_from_before_it_within(host: Host) -> None:
    with Talk(host, "pop3") as talk:
        refused = talk.pop(f"USER {BOB}", f"PASS {PASSWORD}", f"AUTH PLAIN {plain(BOB)}", "AUTH PLAIN", "STAT")
        assert [answer[:4] for answer in refused] == ["-ERR"] * 5
        talk.send(f"STLS\r\nUSER {BOB}\r\n")
        assert talk.line().startswith("+OK")
        talk.start_tls()
        answers = talk.pop(f"PASS {PASSWORD}", "STLS", f"USER {BOB}", f"PASS {PASSWORD}")
        assert [answer[:4] for answer in answers] == ["-ERR", "-ERR", "+OK ", "+OK "]


@pytest.mark.parametrize(
    ("lines", "answers"),
    [
        ([f"AUTH PLAIN {plain(ALICE)}"], ["+OK 0 messages"]),
        (["auth plain", plain(ALICE)], ["+ ", "+OK 0 messages"]),
        (
            ["AUTH LOGIN", base64.b64encode(ALICE.encode()).decode(), base64.b64encode(PASSWORD.encode()).decode()],
            ["+ VXNlcm5hbWU6", "+ UGFzc3dvcmQ6", "+OK 0"],
        ),
        (["AUTH PLAIN", "*", "STAT"], ["+ ", "-ERR", "-ERR"]),
        (["AUTH PLAIN", "A" * 13_000, "STAT"], ["+ ", "-ERR", "-ERR Log in first"]),
        (["AUTH PLAIN =", "AUTH PLAIN !", "AUTH APOP", "APOP a b"], ["-ERR"] * 4),
        ([f"USER {ALICE}", "PASS wrong", f"PASS {PASSWORD}"], ["+OK", "-ERR [AUTH]", "-ERR USER"]),
        (
            ["USER nobody@example.test", "PASS wrong", f"AUTH PLAIN {plain(ALICE, 'wrong')}"],
            ["+OK", "-ERR [AUTH]", "-ERR [AUTH]"],
        ),
    ],
)
def test_log_in(host: Host, lines: list[str], answers: list[str]) -> None:
    with Talk(host, "pop3s", tls=True) as talk:
        heard = talk.pop(*lines)
        assert all(map(str.startswith, heard, answers)), heard
        talk.pop("QUIT")


def test_the_login_delay_of_a_domain_and_expire_0_are_kept(host: Host) -> None:
    deliver(host, LATE, HEADER, DOTTED)
    with pop3(host, LATE) as talk:
        assert {"EXPIRE 0", "LOGIN-DELAY 3600"} <= set(talk.pop_lines("CAPA"))
        talk.pop_lines("RETR 1")
        assert talk.pop("STAT")[0].startswith("+OK 2 ")
        assert talk.pop("QUIT") == ["+OK Bye"]
    with Talk(host, "pop3s", tls=True) as talk:
        assert talk.pop(f"USER {LATE}", f"PASS {PASSWORD}")[1].startswith("-ERR [LOGIN-DELAY] ")


def test_sizes_are_what_retr_sends_and_top_cuts_it(filled: Host) -> None:
    with pop3(filled, BOB) as talk:
        listed = [line.split() for line in talk.pop_lines("LIST")]
        assert [number for number, _ in listed] == ["1", "2", "3"]
        assert talk.pop("STAT") == [f"+OK 3 {sum(int(size) for _, size in listed)}"]
        for number, size in listed:
            whole = talk.pop_lines(f"RETR {number}")
            assert sum(len(line.removeprefix(".")) + 2 for line in whole) == int(size)
            assert talk.pop(f"LIST {number}") == [f"+OK {number} {size}"]
            body = whole.index("") + 1 if "" in whole else len(whole)
            for lines in (0, 1, 2, 10**12):
                assert talk.pop_lines(f"TOP {number} {lines}") == whole[: body + lines]
        assert talk.pop_lines("RETR 1")[-3:] == ["..first", "second", ".."]


def test_unique_ids_are_well_formed_and_never_change(filled: Host) -> None:
    with pop3(filled, BOB) as talk:
        before = talk.pop_lines("UIDL")
        assert all(re.fullmatch(r"\d+ [!-~]{1,70}", line) for line in before)
        assert len({line.split()[1] for line in before}) == 3
        assert talk.pop("UIDL 2", "DELE 1", "QUIT") == [f"+OK {before[1]}", "+OK", "+OK Bye"]
    with pop3(filled, BOB) as talk:
        assert [line.split()[1] for line in talk.pop_lines("UIDL")] == [line.split()[1] for line in before[1:]]


@pytest.mark.parametrize("command", REFUSED)
def test_what_cannot_be_is_refused_and_the_session_goes_on(filled: Host, command: str) -> None:
    with pop3(filled, BOB) as talk:
        assert [answer[:4] for answer in talk.pop(command, "NOOP", "QUIT")] == ["-ERR", "+OK", "+OK "]


def test_many_mistakes_here_and_there_close_no_session(host: Host) -> None:
    with pop3(host, ALICE) as talk:
        assert [answer[:4] for answer in talk.pop(*["RETR x", "STAT"] * 30)] == ["-ERR", "+OK "] * 30
        talk.pop("QUIT")


def test_deleted_messages_are_out_of_reach_until_rset(filled: Host) -> None:
    with pop3(filled, BOB) as talk:
        answers = talk.pop("DELE 2", "RETR 2", "TOP 2 0", "LIST 2", "UIDL 2", "DELE 2")
        assert [answer[:4] for answer in answers] == ["+OK", *["-ERR"] * 5]
        assert [line.split()[0] for line in talk.pop_lines("LIST")] == ["1", "3"]
        assert talk.pop("STAT")[0].startswith("+OK 2 ")
        assert talk.pop("RSET", "STAT")[1].startswith("+OK 3 ")


def test_a_dropped_connection_deletes_nothing_and_frees_the_maildrop(filled: Host) -> None:
    with pop3(filled, BOB) as talk:
        assert talk.pop("DELE 1", "DELE 2") == ["+OK", "+OK"]
        assert is_in_use(filled, BOB)
    wait_until(lambda: not is_in_use(filled, BOB), "the maildrop is free after a drop")
    with pop3(filled, BOB) as talk:
        assert talk.pop("STAT")[0].startswith("+OK 3 ")


def test_new_mail_waits_for_the_next_session(filled: Host) -> None:
    with pop3(filled, BOB) as talk:
        deliver(filled, BOB, HEADER)
        assert talk.pop("STAT", "RETR 4")[0].startswith("+OK 3 ")
        talk.pop("QUIT")
    with pop3(filled, BOB) as talk:
        assert talk.pop("STAT")[0].startswith("+OK 4 ")


def test_commands_octet_by_octet_and_all_at_once(filled: Host) -> None:
    commands = f"USER {BOB}\r\nPASS {PASSWORD}\r\nDELE 3\r\nTOP 2 0\r\nUIDL 1\r\nNOOP\r\nRSET\r\nSTAT\r\nQUIT\r\n"
    said = []
    for bytewise in (False, True):
        with Talk(filled, "pop3s", tls=True) as talk:
            talk.send(commands, bytewise=bytewise)
            lines = []
            while line := talk.line():
                lines.append(line)
            said.append(lines)
    assert said[0] == said[1]
    assert [line for line in said[0] if line.startswith("-ERR")] == []


def test_languages_and_utf8(host: Host) -> None:
    with Talk(host, "pop3s", tls=True) as talk:
        assert talk.pop_lines("LANG") == ["en English", "i-default English"]
        assert [answer[:6] for answer in talk.pop("LANG en", "LANG *", "LANG tlh", "UTF8")] == [
            "+OK en",
            "+OK en",
            "-ERR N",
            "+OK UT",
        ]
