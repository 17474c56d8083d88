import itertools

from hypothesis import given
from hypothesis import strategies as st

from mailstack.wire.lines import LineBuffer, LineTooLong


def read_lines(chunks, max_octets=20):
    buffer = LineBuffer(max_octets)
    lines = []
    for chunk in chunks:
        buffer.feed(chunk)
        while True:
            try:
                line = buffer.take_line()
            except LineTooLong:
                lines.append("too long")
                continue
            if line is None:
                break
            lines.append(line)
    return lines


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def test_only_crlf_ends_a_line():
    assert read_lines([b"a\nb\rc\r\r\nd\r\n"]) == [b"a\nb\rc\r", b"d"]


def test_a_long_line_is_dropped_and_the_next_one_is_read():
    assert read_lines([b"x" * 100 + b"\r\nnext\r\n"]) == ["too long", b"next"]


def test_an_endless_line_costs_no_memory():
    buffer = LineBuffer(20)
    for _ in range(1000):
        buffer.feed(b"x" * 1000)
        assert buffer.take_line() is None
        assert len(buffer) <= 20


def test_the_bound_counts_the_line_end():
    assert read_lines([b"x" * 18 + b"\r\n"]) == [b"x" * 18]
    assert read_lines([b"x" * 19 + b"\r\n"]) == ["too long"]


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"ab", b"x" * 17, b"\0"])), st.lists(st.integers(0, 300)))
def test_any_chunking_gives_the_same_lines(pieces, places):
    data = b"".join(pieces)
    assert read_lines(cut(data, places)) == read_lines([data])


def test_raw_octets_follow_the_lines():
    buffer = LineBuffer(100)
    buffer.feed(b"BDAT 3\r\nabcdef")
    assert buffer.take_line() == b"BDAT 3"
    assert (buffer.take(3), len(buffer), buffer.take_all(), buffer.take(5)) == (b"abc", 3, b"def", b"")


def test_clear_forgets_everything():
    buffer = LineBuffer(100)
    buffer.feed(b"QUIT\r\n")
    buffer.clear()
    assert buffer.take_line() is None
    assert len(buffer) == 0
