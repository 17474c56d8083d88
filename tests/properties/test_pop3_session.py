"""What holds for the POP3 core whatever a client says: the same however it is cut, never an exception."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mailstack.pop3.bounds import Bounds
from mailstack.pop3.command import COMMANDS
from tests.pop3.world import PASSWORD, USER, Driver, FakeVisit, make_session
from tests.wire.test_lines import cut

LOGIN = f"USER {USER}\r\nPASS {PASSWORD}\r\n".encode()
PLACES = st.lists(st.integers(0, 2000), max_size=30)
NUMBERS = ["1", "2", "3", "4", "0", "-1", "x", "1 0", "1 2", "3 99", ""]
COMMAND_LINES = [
    f"{verb.decode()} {argument}\r\n".encode() for verb in COMMANDS for argument in NUMBERS if verb != b"QUIT"
]
WORDS = st.sampled_from(
    [
        *COMMAND_LINES,
        LOGIN,
        b"QUIT\r\n",
        b"CAPA\r\n",
        b"RETR 1\r\n",
        b"TOP 2 1\r\n",
        b"DELE 3\r\n",
        b"UIDL\r\n",
        b"AUTH PLAIN\r\n",
        b"AUTH LOGIN\r\n",
        b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABjb3JyZWN0IGhvcnNl\r\n",
        b"*\r\n",
        b"y" * 300,
        b"\r",
        b"\n",
        b"\xff",
        b"\0",
    ]
)
TALK = st.lists(WORDS | st.binary(max_size=10), max_size=40).map(b"".join)


def hear(chunks: list[bytes]) -> tuple[bytes, object, dict[int, bytes]]:
    """What the session says to the chunks, its state, and what is left in the maildrop."""
    driver = Driver(make_session(bounds=Bounds(errors=12)), FakeVisit())
    said = b"".join(map(driver.send, chunks))
    return said, driver.session.state, driver.visit.messages


@given(TALK, PLACES, st.booleans())
def test_any_chunking_gives_the_same_replies(talk: bytes, places: list[int], logged_in: bool) -> None:
    talk = LOGIN + talk if logged_in else talk
    whole = hear([talk])
    assert hear(cut(talk, places)) == whole
    assert whole[0].endswith(b"\r\n") or not whole[0]


@given(st.binary(max_size=100).filter(lambda line: b"\r\n" not in line + b"\r"), st.booleans())
def test_what_is_no_command_gets_err_and_the_session_goes_on(line: bytes, logged_in: bool) -> None:
    driver = Driver().log_in() if logged_in else Driver()
    said = driver.send(line + b"\r\nCAPA now\r\n")
    if line.split(b" ")[0].upper() not in COMMANDS:
        assert re.fullmatch(rb"-ERR [ -~]*\r\n-ERR CAPA takes no argument\r\n", said)


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"") + b"\r\n"), max_size=8).map(b"".join))
def test_a_message_is_sent_as_it_is_kept_and_its_size_is_true(content: bytes) -> None:
    driver = Driver(visit=FakeVisit(messages=(content,))).log_in()
    said = driver.send(b"RETR 1\r\n")
    heading, _, sent = said.partition(b"\r\n")
    assert heading == b"+OK %d octets" % len(content)
    unstuffed = re.sub(rb"(?:(?<=\r\n)|\A)\.(?=\.)", b"", sent.removesuffix(b".\r\n"))
    assert unstuffed == content
    assert driver.send(b"LIST 1\r\n") == b"+OK 1 %d\r\n" % len(content)
