"""Maildirs and Dovecot's list of UIDs, as files say them; `tests/lab/test_import.py` asks a real Dovecot."""

import os
from pathlib import Path

import pytest

from mailstack.mail.source_message import SourceError, SourceMessage
from mailstack.operations.mail_import.dovecot_uids import read_uidlist
from mailstack.operations.mail_import.maildir import Maildir

UIDLIST = """\
3 V1700000000 N9 G1234567890abcdef
4 G77 :1700000004.M4.mx
7 PXyz W30 :1700000001.M1.mx,S=10
"""


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for part in ("cur", "new", "tmp", ".Sent/cur"):
        (tmp_path / part).mkdir(parents=True)
    return tmp_path


def content(message: SourceMessage) -> bytes:
    return b"".join(message.chunks())


def test_messages_come_as_dovecot_numbered_them_then_by_age(maildir: Path) -> None:
    (maildir / "dovecot-uidlist").write_text(UIDLIST)
    for name in (
        "cur/1700000004.M4.mx:2,S",
        "new/1700000003.new.mx",
        "cur/1700000001.M1.mx,S=10:2,",
        "cur/1700000002.old.mx:2,",
        "cur/.hidden",
        "tmp/1700000001.half.mx",
    ):
        (maildir / name).write_bytes(f"X: {name}\n\nbody\r\n\rend".encode())
    source = Maildir(maildir)
    messages = list(source)
    assert [(one.unique_id, one.received_at) for one in messages] == [
        ("000000046553f100", 1_700_000_004_000_000),
        ("Xyz", 1_700_000_001_000_000),
        ("", 1_700_000_002_000_000),
        ("", 1_700_000_003_000_000),
    ]
    assert content(messages[0]) == b"X: cur/1700000004.M4.mx:2,S\r\n\r\nbody\r\n\rend"
    assert content(messages[0]) == content(messages[0]), "each call reads anew"
    assert (source.total, source.subfolders) == (4, [".Sent"])


def test_a_name_without_a_time_is_as_old_as_its_file(maildir: Path) -> None:
    for name in ("msg.1", "²5.x"):
        (maildir / "cur" / name).write_bytes(b"A: b\n")
        os.utime(maildir / "cur" / name, (1_600_000_000, 1_600_000_000))
    assert [one.received_at for one in Maildir(maildir)] == [1_600_000_000_000_000] * 2


def test_what_is_no_file_of_the_maildir_is_not_read(maildir: Path, tmp_path: Path) -> None:
    (maildir / "secret").write_bytes(b"A: b\n")
    (maildir / "cur" / "1700000001.link").symlink_to(maildir / "secret")
    os.mkfifo(maildir / "cur" / "1700000002.fifo")
    (maildir / "cur" / "1700000003.folder").mkdir()
    for message in Maildir(maildir):
        with pytest.raises(OSError):  # noqa: PT011 -- each has its own words
            content(message)


@pytest.mark.parametrize(
    ("uidl_format", "unique_id"),
    [
        ("%08Xu%08Xv", "000000046553f100"),
        ("%v.%u", "1700000000.4"),
        ("%v-%u", "1700000000-4"),
        ("UID%u-%v", "UID4-1700000000"),
        ("%g", "77"),
        ("%f", "1700000004.M4.mx"),
    ],
)
def test_other_formats_of_dovecot(maildir: Path, uidl_format: str, unique_id: str) -> None:
    (maildir / "dovecot-uidlist").write_text(UIDLIST)
    assert read_uidlist(maildir, uidl_format)["1700000004.M4.mx"].unique_id == unique_id


def test_the_first_version_of_the_list(maildir: Path) -> None:
    (maildir / "dovecot-uidlist").write_text("1 255 3\n2 1700000004.M4.mx:2,S\n")
    assert read_uidlist(maildir)["1700000004.M4.mx"].unique_id == "00000002000000ff"


def test_lines_that_mean_nothing_are_passed_over(maildir: Path) -> None:
    (maildir / "dovecot-uidlist").write_bytes(b"3 V1 N9\n\nx :a\n5\n6 G1\n7 :b\xff\n8 :c")
    assert [one.uid for one in read_uidlist(maildir).values()] == [7, 8]


@pytest.mark.parametrize("head", ["", "3 N9\n", "2 V1 N9\n", "1 x 3\n"])
def test_a_list_that_is_none_is_refused(maildir: Path, head: str) -> None:
    (maildir / "dovecot-uidlist").write_text(head)
    with pytest.raises(SourceError, match="first line"):
        Maildir(maildir)


@pytest.mark.parametrize("uidl_format", ["%m", "%08Xu%%", "no variable", "%9u"])
def test_formats_that_only_dovecot_can_fill_in_are_refused(maildir: Path, uidl_format: str) -> None:
    with pytest.raises(SourceError, match="pop3_save_uidl"):
        Maildir(maildir, uidl_format)


def test_a_folder_that_is_no_maildir_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="neither `cur` nor `new`"):
        Maildir(tmp_path)
