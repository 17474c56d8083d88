from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mail.reply import Reply
from mailstack.mail.status import EnhancedStatus
from mailstack.smtp.client_extensions import read_extensions
from mailstack.smtp.client_replies import MAX_LINE, MAX_LINES, BrokenPeerError, ReplyReader

STREAM = (
    b"220 mx.example.org ESMTP\r\n"
    b"250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-LIMITS RCPTMAX=7 MAILMAX=3\r\n"
    b"250-AUTH plain LOGIN\r\n250-AUTH=LOGIN\r\n250 STARTTLS\r\n"
    b"550-5.1.1 no such\r\n550 5.1.1 mailbox\r\n"
    b"250\r\n"
    b"450 5.1.1 odd class\n"
)


def read_all(reader):
    replies = []
    while answer := reader.take():
        replies.append(answer)
    return replies


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_chunking_gives_the_same_replies(cuts):
    reader, replies = ReplyReader(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(edges):
        reader.feed(STREAM[start:end])
        replies += read_all(reader)
    assert [answer.code for answer in replies] == [220, 250, 550, 250, 450]
    assert replies[2] == Reply(550, EnhancedStatus(5, 1, 1), "no such\nmailbox")
    assert replies[3].text == ""
    assert replies[4] == Reply(450, None, "5.1.1 odd class")
    assert not reader.has_leftover


@given(st.binary(max_size=300))
def test_garbage_is_a_reply_or_a_broken_peer(data):
    reader = ReplyReader()
    reader.feed(data)
    try:
        for answer in read_all(reader):
            assert 200 <= answer.code < 600
            assert not set(map(chr, range(32))) - {"\n"} & set(answer.text)
    except BrokenPeerError:
        pass


@pytest.mark.parametrize(
    "data",
    [b"hello\r\n", b"2500 ok\r\n", b"199 ok\r\n", b"x" * (MAX_LINE + 1), b"250-x\r\n" * (MAX_LINES + 1)],
)
def test_a_broken_peer_is_told_from_a_slow_one(data):
    reader = ReplyReader()
    reader.feed(data)
    with pytest.raises(BrokenPeerError):
        reader.take()


def test_a_long_line_is_cut():
    reader = ReplyReader()
    reader.feed(b"250 " + b"x" * 9000 + b"\r\n")
    answer = reader.take()
    assert answer is not None
    assert len(answer.text) == 4096


def test_extensions():
    reader = ReplyReader()
    reader.feed(STREAM)
    reader.take()
    answer = reader.take()
    assert answer is not None
    offered = read_extensions(answer)
    assert offered.pipelining
    assert offered.starttls
    assert not offered.chunking
    assert (offered.max_size_octets, offered.rcpt_max, offered.mail_max) == (1000000, 7, 3)
    assert offered.auth == {"PLAIN", "LOGIN"}


@pytest.mark.parametrize("line", ["SIZE", "SIZE 0", "SIZE many", "SIZE ²"])
def test_size_without_a_maximum(line):
    offered = read_extensions(Reply(250, None, f"host\n{line}"))
    assert offered.size
    assert offered.max_size_octets is None
