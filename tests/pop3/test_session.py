"""The POP3 session, pure: what the dialogs do not show."""

import base64
import hashlib
import hmac
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.pop3.bounds import Bounds
from mailstack.pop3.command import State
from mailstack.pop3.questions import LogIn, Offers, StartTls
from tests.pop3.world import MESSAGES, NONCE, PASSWORD, USER, Driver, FakeVisit, make_session

LOGIN = f"USER {USER}\r\nPASS {PASSWORD}\r\n".encode()


def test_commands_behind_stls_are_never_carried_into_tls() -> None:
    driver = Driver(make_session(tls_on=False))
    assert driver.send(b"STLS\r\n" + LOGIN + b"STAT\r\n") == b"+OK Begin TLS negotiation\r\n"
    assert driver.questions == [StartTls()]
    assert driver.send(b"STAT\r\n").startswith(b"-ERR Log in first")


@pytest.mark.parametrize("line", [b"USER a@b.test", b"PASS x", b"AUTH PLAIN AGEAYg==", b"AUTH SCRAM-SHA-256"])
def test_no_password_travels_without_tls(line: bytes) -> None:
    driver = Driver(make_session(tls_on=False))
    assert driver.send(line + b"\r\n").startswith(b"-ERR Use STLS first")
    assert driver.questions == []


def test_capabilities_are_those_of_the_contract() -> None:
    def names(driver: Driver) -> list[str]:
        lines = driver.send(b"CAPA\r\n").decode().split("\r\n")
        assert lines[0].startswith("+OK")
        assert lines[-2:] == [".", ""]
        return [line.split()[0] for line in lines[1:-2]]

    common = ["PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8", "LANG", "EXPIRE", "LOGIN-DELAY", "IMPLEMENTATION"]
    assert names(Driver(make_session(tls_on=False))) == ["TOP", "UIDL", "STLS", *common]
    assert names(Driver()) == ["TOP", "UIDL", "USER", "SASL", *common]
    assert names(Driver().log_in()) == ["TOP", "UIDL", "USER", "SASL", *common]


def test_expire_and_login_delay_are_general_before_and_exact_after_login() -> None:
    visit = FakeVisit()
    visit.account_offers = Offers(30, 60)
    driver = Driver(make_session(offers=Offers(7, 600, differ=True)), visit)
    assert b"EXPIRE 7 USER\r\nLOGIN-DELAY 600 USER\r\n" in driver.send(b"CAPA\r\n")
    driver.log_in()
    assert b"EXPIRE 30\r\nLOGIN-DELAY 60\r\n" in driver.send(b"CAPA\r\n")


def test_sizes_are_what_retr_sends_before_stuffing() -> None:
    driver = Driver().log_in()
    for number, content in enumerate(MESSAGES, 1):
        reply = driver.send(b"RETR %d\r\n" % number)
        head, _, rest = reply.partition(b"\r\n")
        assert head == b"+OK %d octets" % len(content)
        assert rest.endswith(b".\r\n")
        assert rest[:-3].replace(b"\r\n..", b"\r\n.") == content
        assert driver.send(b"LIST %d\r\n" % number) == b"+OK %d %d\r\n" % (number, len(content))


def test_content_without_last_crlf_still_ends_in_its_own_line() -> None:
    driver = Driver(visit=FakeVisit((b"Subject: x\r\n\r\nno end",))).log_in()
    assert driver.send(b"RETR 1\r\n").endswith(b"Subject: x\r\n\r\nno end\r\n.\r\n")


def test_expire_0_deletes_what_was_retrieved() -> None:
    visit = FakeVisit(offers=Offers(expire_days=0))
    Driver(visit=visit).log_in().send(b"RETR 1\r\nTOP 2 0\r\nQUIT\r\n")
    assert set(visit.messages) == {2, 3}


def test_deletions_wait_for_quit() -> None:
    visit = FakeVisit()
    driver = Driver(visit=visit).log_in()
    driver.send(b"DELE 1\r\nDELE 2\r\n")
    assert set(visit.messages) == {1, 2, 3}
    assert driver.send(b"QUIT\r\n").startswith(b"+OK")
    assert set(visit.messages) == {3}
    assert driver.session.state is State.CLOSED


def test_a_failed_commit_is_said_and_deletes_nothing() -> None:
    visit = FakeVisit()
    driver = Driver(visit=visit).log_in()
    driver.send(b"DELE 1\r\n")
    visit.trouble = True
    assert driver.send(b"QUIT\r\n").startswith(b"-ERR [SYS/TEMP]")
    assert set(visit.messages) == {1, 2, 3}


def test_trouble_in_retr_leaves_the_session_going() -> None:
    visit = FakeVisit()
    driver = Driver(visit=visit).log_in()
    visit.trouble = True
    assert driver.send(b"RETR 1\r\n").startswith(b"-ERR [SYS/TEMP]")
    visit.trouble = False
    assert driver.send(b"RETR 1\r\n").startswith(b"+OK")


def test_nothing_is_parsed_past_an_open_question() -> None:
    session = make_session()
    session.take_output()
    session.receive(LOGIN + b"STAT\r\n")
    assert session.run() == LogIn(USER, PASSWORD)
    assert session.take_output() == b"+OK Now the password\r\n"
    assert session.run() == LogIn(USER, PASSWORD)
    assert session.take_output() == b""


def test_too_many_errors_close() -> None:
    driver = Driver(make_session(bounds=Bounds(errors=3)))
    assert driver.send(b"X\r\nX\r\nX\r\nCAPA\r\n").endswith(b"-ERR Too many errors, closing\r\n")
    assert driver.session.state is State.CLOSED


def test_errors_here_and_there_do_not() -> None:
    driver = Driver(make_session(bounds=Bounds(errors=3)))
    assert driver.send(b"X\r\nX\r\nCAPA\r\n" * 5).count(b"IMPLEMENTATION") == 5


def test_too_many_failed_logins_close() -> None:
    driver = Driver(make_session(bounds=Bounds(failed_logins=2)))
    reply = driver.send(b"USER a@b.test\r\nPASS x\r\n" * 3)
    assert reply.count(b"[AUTH]") == 2
    assert driver.session.state is State.CLOSED


def test_long_lines_are_refused_and_endless_ones_end_the_session() -> None:
    driver = Driver()
    assert driver.send(b"USER " + b"x" * 300 + b"\r\nCAPA\r\n").startswith(b"-ERR The line is too long\r\n+OK Capa")
    said = b"".join(driver.send(b"y" * 1024) for _ in range(70))
    assert said == b"-ERR The line is too long\r\n"
    assert driver.session.state is State.CLOSED


def test_output_is_bounded_between_writes() -> None:
    driver = Driver(make_session(bounds=Bounds(output_octets=1000))).log_in()
    driver.session.receive(b"LIST\r\n" * 500)
    assert driver.session.run() is None
    assert driver.session.is_full
    assert len(driver.session.take_output()) < 1100


def _scram(driver: Driver, username: str, password: str, *, split: bool) -> bytes:
    """A client of RFC 5802, as its section 3 says it; what the server says in the end."""

    def encode(text: str) -> bytes:
        return base64.b64encode(text.encode()) + b"\r\n"

    first = f"n={username},r=clientnonceclientnonce"
    if split:
        assert driver.send(b"AUTH SCRAM-SHA-256\r\n") == b"+ \r\n"
        challenge = driver.send(encode(f"n,,{first}"))
    else:
        challenge = driver.send(b"AUTH SCRAM-SHA-256 " + encode(f"n,,{first}"))
    server_first = base64.b64decode(challenge[2:]).decode()
    assert server_first.startswith(f"r=clientnonceclientnonce{NONCE},")
    parts = dict(part.split("=", 1) for part in server_first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    without_proof = f"c=biws,r={parts['r']}"
    message = f"{first},{server_first},{without_proof}".encode()
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True))).decode()
    reply = driver.send(encode(f"{without_proof},p={proof}"))
    if not reply.startswith(b"+ "):
        return reply
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    assert base64.b64decode(reply[2:]) == b"v=" + base64.b64encode(hmac.digest(server_key, message, "sha256"))
    return driver.send(b"\r\n")


@pytest.mark.parametrize("split", [False, True])
def test_scram_logs_in(split: bool) -> None:
    driver = Driver()
    assert _scram(driver, USER, PASSWORD, split=split).startswith(b"+OK 3 messages")
    assert driver.session.state is State.TRANSACTION


@pytest.mark.parametrize(("username", "password"), [(USER, "wrong"), ("nobody@example.test", PASSWORD)])
def test_scram_refuses_wrong_and_unknown_alike(username: str, password: str) -> None:
    assert _scram(Driver(), username, password, split=False) == b"-ERR [AUTH] The name or the password is wrong\r\n"


SCRIPT = (
    LOGIN
    + b"STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 2 1\r\nDELE 1\r\nLIST\r\nRETR 1\r\nnonsense\r\nRSET\r\nUIDL 3\r\nQUIT\r\n"
)


@given(st.lists(st.integers(0, len(SCRIPT)), max_size=20))
def test_any_chunking_says_the_same(cuts: list[int]) -> None:
    whole = Driver().send(SCRIPT)
    edges = [0, *sorted(cuts), len(SCRIPT)]
    driver = Driver()
    pieces = [driver.send(SCRIPT[a:b]) for a, b in pairwise(edges)]
    assert b"".join(pieces) == whole


_VERBS = b"USER PASS AUTH CAPA UTF8 LANG STAT LIST UIDL RETR TOP DELE RSET NOOP PLAIN LOGIN SCRAM-SHA-256"
_WORDS = st.sampled_from(
    [*_VERBS.split(), b" ", b"\r\n", b"*", b"=", b"1", b"3", b"0", b"-1", b"99999999999", USER.encode(), b"\xff\x00"]
)


@given(st.booleans(), st.lists(_WORDS | st.binary(max_size=40), max_size=60))
def test_garbage_gets_err_and_never_raises(logged_in: bool, parts: list[bytes]) -> None:
    driver = Driver()
    if logged_in:
        driver.log_in()
    driver.send(b"".join(parts))
    driver.send(b"\r\n*\r\n")
    if driver.session.state is not State.CLOSED:
        assert driver.send(b"junk\r\n").startswith(b"-ERR Unknown command")
