import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailstack.wire.dots import ChunkReader, ContentReader, Defect, DotStuffer, stuff
from tests.wire.test_lines import cut

MAX_LINE = 30
pieces = st.lists(st.sampled_from([b".", b"..", b"\r\n", b"\r\n.", b"a", b"text", b"x" * 25, b"\xe4\xff"])).map(
    b"".join
)
wild_pieces = st.lists(st.sampled_from([b".", b"\r\n", b"\r", b"\n", b"\0", b"a", b"x" * 28, b"\r\n."])).map(b"".join)
places = st.lists(st.integers(0, 400))


def read(chunks):
    reader = ContentReader(MAX_LINE)
    content = b""
    rest = None
    for chunk in chunks:
        if rest is None:
            content += reader.feed(chunk)
            rest = reader.rest
        else:
            rest += chunk
    return content, rest, reader.defect


def defect_of(content):
    """What the reader must see, told the slow way."""
    if re.search(rb"\r(?!\n)|(?<!\r)\n", content):
        return Defect.BARE_LINE_END
    if b"\0" in content:
        return Defect.NUL
    return Defect.LONG_LINE if max(map(len, content.split(b"\r\n"))) > MAX_LINE else None


@given(pieces, places, st.binary(max_size=20))
def test_content_round_trips_byte_for_byte(content, cuts, behind):
    content += b"" if not content or content.endswith(b"\r\n") else b"\r\n"
    got, rest, _ = read(cut(stuff(content) + behind, cuts))
    assert (got, rest) == (content, behind)


@given(wild_pieces, places)
def test_any_chunking_gives_the_same_content_and_sees_the_same_defects(data, cuts):
    data += b"\r\n.\r\nQUIT\r\n"
    whole_content, whole_rest, whole_defect = read([data])
    content, rest, defect = read(cut(data, cuts))
    assert (content, rest) == (whole_content, whole_rest)
    assert defect is whole_defect is defect_of(content)


@pytest.mark.parametrize(
    "false_end", [b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r.\r", b"\r\n.\r\r\n"]
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_nothing_but_crlf_dot_crlf_ends_the_content(false_end, size):
    data = b"first" + false_end + b"MAIL FROM:<evil@example.org>\r\n.\r\nQUIT\r\n"
    content, rest, defect = read([data[i : i + size] for i in range(0, len(data), size)])
    assert rest == b"QUIT\r\n"
    assert b"MAIL FROM" in content
    assert defect is not None


def test_a_dot_at_once_is_empty_content():
    assert read([b".\r\nQUIT"]) == (b"", b"QUIT", None)


def test_a_line_as_long_as_allowed_is_no_defect():
    assert read([b"x" * MAX_LINE + b"\r\n.\r\n"])[2] is None
    assert read([b"x" * MAX_LINE + b"x\r\n.\r\n"])[2] is Defect.LONG_LINE
    assert read([b"a\r\n" * 50 + b"x" * (MAX_LINE + 1) + b"\r\n.\r\n"])[2] is Defect.LONG_LINE


@given(pieces, places)
def test_stuffing_in_blocks_is_stuffing_as_a_whole(content, cuts):
    stuffer = DotStuffer()
    assert b"".join(map(stuffer.feed, cut(content, cuts))) + stuffer.finish() == stuff(content)


@given(wild_pieces, places)
@example(b"..." + b"x" * 28, [])
@example(b"..." + b"x" * 29, [0, 5])
def test_chunks_give_the_content_and_see_defects(data, cuts):
    reader = ChunkReader(MAX_LINE)
    content = b"".join(map(reader.feed, cut(data, cuts)))
    end = reader.finish()
    if reader.defect is None:
        assert content + end == data + (b"" if not data or data.endswith(b"\r\n") else b"\r\n")
    assert reader.defect is defect_of(data)
