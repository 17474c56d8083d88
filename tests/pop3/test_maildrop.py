"""The numbered snapshot, its window and the cut of TOP."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mailstack.pop3.maildrop import WINDOW_MESSAGES, WINDOW_OCTETS, Maildrop, TopCutter, top_reply, whole_reply
from mailstack.wire.dots import DotStuffer


def make(count: int, size_octets: int = 100) -> Maildrop:
    return Maildrop(1, ((number + 1000, size_octets, f"u{number}") for number in range(1, count + 1)))


def walk(maildrop: Maildrop, numbers: range) -> list[int]:
    """How many messages each query reads when a client asks for these one by one."""
    queries = []
    for number in numbers:
        if maildrop.at_hand(number, keep=False) is None:
            ahead = maildrop.read_ahead(number, WINDOW_OCTETS)
            assert ahead[0] == number
            queries.append(len(ahead))
            for other in ahead[1:]:
                maildrop.window[other] = b"x" * maildrop.size(other)
    return queries


def test_who_goes_through_gets_windows_that_grow() -> None:
    assert walk(make(200), range(1, 201)) == [8, 16, 32, 64, 64, 16]


def test_who_goes_through_backwards_too() -> None:
    queries = walk(make(200), range(200, 0, -1))
    assert queries[0] == 1
    assert sum(queries) == 200
    assert len(queries) < 10


def test_who_picks_here_and_there_gets_little_more_than_asked() -> None:
    assert max(walk(make(1000), range(1, 1000, 100))) <= 8


def test_a_window_is_bounded_in_octets() -> None:
    maildrop = make(500, 100_000)
    for number in range(1, 500):
        if maildrop.at_hand(number, keep=True) is None:
            for other in maildrop.read_ahead(number, WINDOW_OCTETS):
                maildrop.window[other] = b"x" * 100_000
        assert sum(map(len, maildrop.window.values())) <= WINDOW_OCTETS + 100_000
        assert len(maildrop.window) <= 2 * WINDOW_MESSAGES


def test_large_and_deleted_messages_do_not_ride_in_the_window() -> None:
    maildrop = Maildrop(1, [(1, 10, "a"), (2, 5000, "b"), (3, 10, "c"), (4, 10, "d")])
    maildrop.delete(3)
    assert maildrop.read_ahead(1, 1000) == [1, 4]


def test_numbers_stay_when_messages_are_deleted() -> None:
    maildrop = make(3)
    maildrop.delete(2)
    assert maildrop.listing() == b"+OK Listing follows\r\n1 100\r\n3 100\r\n.\r\n"
    assert maildrop.unique_id_listing() == b"+OK Listing follows\r\n1 u1\r\n3 u3\r\n.\r\n"
    assert (maildrop.count, maildrop.size_octets) == (2, 200)
    assert maildrop.deleted_entry_ids() == [1002]
    maildrop.reset()
    assert (maildrop.count, maildrop.size_octets) == (3, 300)


def test_an_empty_maildrop_lists_nothing() -> None:
    assert make(0).unique_id_listing() == make(0).listing() == b"+OK Listing follows\r\n.\r\n"


_LINES = st.lists(st.sampled_from([b"", b".", b"..", b"text", b"Header: x"]), max_size=12)


@given(_LINES, st.integers(0, 5), st.lists(st.integers(0, 80), max_size=6))
def test_top_is_the_same_whole_and_in_blocks(lines: list[bytes], wanted: int, cuts: list[int]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    stuffer, cutter = DotStuffer(), TopCutter(wanted)
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    blocks = (content[a:b] for a, b in pairwise(edges))
    streamed = b"".join(stuffer.feed(cutter.feed(block)) for block in blocks) + stuffer.finish()
    assert top_reply(whole_reply(len(content), content), wanted) == b"+OK Top of message follows\r\n" + streamed
    head = lines.index(b"") + 1 if b"" in lines else len(lines)
    top = b"".join(line + b"\r\n" for line in lines[: head + wanted])
    assert streamed == (b"\r\n" + top).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
