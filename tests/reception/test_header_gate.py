"""Content meets its header section, however it was cut."""

import itertools
from collections.abc import Awaitable

from hypothesis import given
from hypothesis import strategies as st

from mailstack.mail.header import HeaderError
from mailstack.reception.header_gate import MAX_HEADER_OCTETS, HeaderGate


class Written:
    def __init__(self) -> None:
        self.octets = b""

    def write(self, data: bytes) -> Awaitable[None] | None:
        self.octets += data
        return None


def send(content: bytes, cuts: list[int]) -> bytes:
    written = Written()
    gate = HeaderGate(written, lambda section: b"Received: us\r\n" + section)
    edges = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    for start, end in itertools.pairwise(edges):
        gate.write(content[start:end])
    gate.finish()
    return written.octets


@given(
    st.sampled_from(
        [
            b"Subject: x\r\n\r\nbody\r\n\r\nmore\r\n",
            b"Subject: x\r\nTo: y\r\n",
            b"\r\nbody only\r\n",
        ]
    ),
    st.lists(st.integers(0, 100), max_size=6),
)
def test_content_passes_whole_behind_the_new_field(content: bytes, cuts: list[int]) -> None:
    assert send(content, cuts) == b"Received: us\r\n" + content


def test_content_without_header_gets_an_empty_line() -> None:
    assert send(b"words\r\n", []) == b"Received: us\r\n\r\nwords\r\n"
    assert send(b"", []) == b"Received: us\r\n"


def test_an_endless_header_is_refused_in_bounded_memory() -> None:
    written = Written()
    gate = HeaderGate(written, lambda section: section)
    for _ in range(MAX_HEADER_OCTETS // 1000 + 2):
        gate.write(b"X: " + b"a" * 995 + b"\r\n")
    gate.finish()
    assert gate.refusal is not None
    assert gate.refusal.code == 554
    assert written.octets == b""


def test_a_refusal_of_the_mender_becomes_a_reply() -> None:
    def refuse(section: bytes) -> bytes:
        raise HeaderError("two From fields")

    gate = HeaderGate(Written(), refuse)
    gate.write(b"From: a\r\n\r\nx")
    assert gate.refusal is not None
    assert "two From fields" in str(gate.refusal)
