"""mbox files: where messages begin and end, what is unquoted, and that size costs no memory."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mail.line_ends import as_crlf
from mailstack.mail.source_message import SourceError
from mailstack.operations.mail_import import from_lines
from mailstack.operations.mail_import.mbox import Mbox, unquote

FROM = b"From ann@example.org Wed Nov 25 07:01:12 2026\n"
AT = 1_795_590_072_000_000


def contents(path: Path, mbox: bytes) -> list[bytes]:
    path.write_bytes(mbox)
    return [b"".join(message.chunks()) for message in Mbox(path)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mbox"


def test_messages_end_before_the_empty_line_of_the_next(path: Path) -> None:
    mbox = FROM + b"A: 1\n\none\n\n" + FROM + b"A: 2\n\n\n\n" + FROM + b"A: 3\n\nthree\n\n"
    assert contents(path, mbox) == [b"A: 1\r\n\r\none\r\n", b"A: 2\r\n\r\n\r\n", b"A: 3\r\n\r\nthree\r\n"]
    crlf = mbox.replace(b"\n", b"\r\n")
    assert contents(path, crlf) == contents(path, mbox)
    assert contents(path, mbox[:-1])[2] == b"A: 3\r\n\r\nthree\r\n"
    assert contents(path, mbox[:-2])[2] == b"A: 3\r\n\r\nthree"
    assert contents(path, b"") == []


def test_quoted_lines_lose_one_mark_and_others_none(path: Path) -> None:
    body = b">From here\n>>From there\n> From\nFrom no date\n\nFrom nobody, still no date\n>Fro"
    [content] = contents(path, FROM + b"A: 1\n\n" + body)
    wanted = b"From here\n>From there\n> From\nFrom no date\n\nFrom nobody, still no date\n>Fro"
    assert content.partition(b"\r\n\r\n")[2] == wanted.replace(b"\n", b"\r\n")


def test_a_content_length_swallows_nothing(path: Path) -> None:
    mbox = FROM + b"Content-Length: 100\n\none\n\n" + FROM + b"Content-Length: x\n\ntwo\n"
    assert len(contents(path, mbox)) == 2


def test_an_empty_message_is_one(path: Path) -> None:
    assert contents(path, FROM + b"\n" + FROM + b"A: 1\n") == [b"\r\n", b"A: 1\r\n"]


@pytest.mark.parametrize(
    ("line", "received_at"),
    [
        (b"From ann@example.org Wed Nov 25 07:01:12 2026", AT),
        (b"From - Wed Nov 25 07:01:12 2026", AT),
        (b"From ann  Wed Nov 25  7:01:12 UTC 2026", AT),
        (b"From ann Wed Nov 25 08:01:12 +0100 2026", AT),
        (b"From ann Wed Nov 25 05:31:12 2026 -0130  ", AT),
        (b'From "ann b"@example.org Wed Nov 25 07:01 2026', AT - 12_000_000),
        (b"From ann Wed Feb 31 07:01:12 2026", None),
        (b"From ann Wed Nov 25 99:01:12 2026", None),
        (b"From ann Wed Nov 25 07:01:12 0000", None),
    ],
)
def test_the_dates_of_from_lines(path: Path, line: bytes, received_at: int | None) -> None:
    path.write_bytes(line + b"\nA: 1\n")
    assert [message.received_at for message in Mbox(path)] == [received_at]


def test_uidls_and_names_are_told(path: Path) -> None:
    first = FROM + b"X-UIDL: abc\nA: 1\n\nX-UIDL: no\n\n"
    path.write_bytes(first + FROM + b"A: 2\n\nX-UIDL: no\n")
    assert [message.unique_id for message in Mbox(path)] == ["abc", ""]
    assert [message.name for message in Mbox(path)] == ["the message at octet 0", f"the message at octet {len(first)}"]


def test_the_folder_s_own_message_is_no_mail(path: Path) -> None:
    own = FROM + b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\ntext\n\n"
    assert contents(path, own + FROM + b"A: 1\n") == [b"A: 1\r\n"]


@pytest.mark.parametrize("text", [b"Subject: x\n\nbody\n", b"\n" + FROM, b"\0" * 5000, b"From nobody\n"])
def test_what_is_no_mbox_is_refused(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with pytest.raises(SourceError, match="is no mbox"):
        Mbox(path)
    with pytest.raises(SourceError, match="is no file"):
        Mbox(path.parent)


def test_messages_are_found_however_the_blocks_fall(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mbox = b"".join(FROM + b"A: %d\n\n%b\n\n" % (n, b"x" * n) for n in range(60))
    wanted = contents(path, mbox)
    assert len(wanted) == 60
    for octets in (1, 2, 7, 46, 64, 100, 1000):
        monkeypatch.setattr(from_lines, "BLOCK_OCTETS", octets)
        assert contents(path, mbox) == wanted


@given(st.lists(st.sampled_from([b">", b">From ", b"From ", b"\n", b"x", b"\r\n", b"\r", b"Fr", b"om "])), st.data())
def test_cutting_changes_nothing(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    cut = data.draw(st.lists(st.integers(0, len(whole)), max_size=5).map(sorted))
    blocks = [whole[a:b] for a, b in zip([0, *cut], [*cut, len(whole)], strict=True)]
    assert b"".join(unquote(blocks)) == b"".join(unquote([whole]))
    crlf = b"".join(as_crlf(blocks))
    assert crlf == whole.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


MEASURE = """\
import resource, sys
from pathlib import Path
from mailstack.operations.mail_import.mbox import Mbox
source = Mbox(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
octets = sum(len(chunk) for message in source for chunk in message.chunks())
print(octets, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_large_mbox_takes_no_memory(path: Path) -> None:
    """One message of 150 MiB in one line, and many small ones; only a process of its own has its own peak."""
    with path.open("wb") as out:
        out.write(FROM + b"A: 1\n\n")
        for _ in range(150):
            out.write(b"x" * 1024 * 1024)
        for number in range(20_000):
            out.write(b"\n\n" + FROM + b"A: %d\n\n%b" % (number, b"line of some words\n" * 50))
    told = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    octets, grown_kib = map(int, told.stdout.split())
    assert octets > 170_000_000
    assert grown_kib < 30 * 1024
