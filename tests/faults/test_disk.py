"""A disk that fills up, and a folder that can no longer be written: 452 meanwhile, and recovery without a restart."""

import os
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import LOCAL, PATIENT
from tests.faults.load import make_content, names_of
from tests.host import Host, send, wait_until
from tests.lab.needs import needs_root

pytestmark = needs_root("mounts a small disk")
MIB = 1024 * 1024
DISK = 48 * MIB


def _mount(folder: Path, *options: str) -> bool:
    command = ["mount", *options, str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not _mount(folder, "-t", "tmpfs", "-o", f"size={DISK}", "mailstack-test"):
        pytest.skip("no file system may be mounted here")
    yield folder
    _unmount(folder)


@pytest.fixture
def host(disk: Path, _on_sqlite: Host) -> Iterator[Host]:
    """Its data is on that disk, and its largest message small enough for it."""
    with _on_sqlite.copy(disk / "host", {"smtp": {**PATIENT, "max_message_size": "4M"}}) as host:
        yield host.start()


def free(disk: Path) -> int:
    stat = os.statvfs(disk)
    return stat.f_bavail * stat.f_frsize


def fill(disk: Path, leave: int) -> Path:
    """A file that leaves so many octets free."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        while (room := free(disk) - leave) > 0:
            file.write(bytes(min(room, MIB)))
            file.flush()
    return ballast


def say(host: Host, name: str, *, is_large: bool = False) -> tuple[int, bytes]:
    """Send one mail; the reply that decided."""
    with host.mx() as session:
        try:
            send(session, "", [LOCAL], make_content(name, is_large=is_large))
        except smtplib.SMTPResponseException as refused:
            return refused.smtp_code, bytes(refused.smtp_error)  # type: ignore[arg-type]
    return 250, b""


def test_a_disk_that_is_low_refuses_mail_until_there_is_room_again(host: Host, disk: Path) -> None:
    assert say(host, "before") == (250, b"")
    ballast = fill(disk, leave=DISK // 12)
    wait_until(lambda: say(host, "meanwhile")[0] == 452, "452", timeout=30)
    code, words = say(host, "meanwhile")
    assert (code, words[:5]) == (452, b"4.3.1")
    assert "before" in names_of(host.fetch(LOCAL)), "mail can be fetched"
    ballast.unlink()
    wait_until(lambda: say(host, "after")[0] == 250, "mail is taken again", timeout=30)
    assert "after" in names_of(host.fetch(LOCAL))


def test_a_disk_that_is_full_in_the_middle_loses_nothing(host: Host, disk: Path) -> None:
    assert say(host, "before") == (250, b"")
    with host.mx() as session:
        session.mail("")
        session.rcpt(LOCAL)
        session.docmd("DATA")
        content = make_content("half", is_large=True)
        session.send(content[: len(content) // 2])
        ballast = fill(disk, leave=0)
        session.send(content[len(content) // 2 :] + content * 8 + b"\r\n.\r\n")
        code, words = session.getreply()
        assert code in (451, 452), words
        assert words.startswith(b"4.3."), words
        ballast.unlink()
        wait_until(lambda: say(host, "after")[0] == 250, f"mail is taken again\n{host.log_text()}", timeout=60)
    assert set(names_of(host.fetch(LOCAL))) == {"before", "after"}
    host.kill9()
    host.start()
    assert set(names_of(host.fetch(LOCAL, delete=True))) == {"before", "after"}, "the database is sound"
    assert host.fetch(LOCAL) == []


def test_a_content_folder_that_turns_read_only_takes_small_mail_only_until_it_is_writable(host: Host) -> None:
    content = host.folder / "content"
    assert _mount(content, "--bind", str(content))
    try:
        assert say(host, "before", is_large=True) == (250, b"")
        assert _mount(content, "-o", "remount,bind,ro")
        code, words = say(host, "meanwhile", is_large=True)
        assert (code, words[:5]) == (452, b"4.3.1")
        assert say(host, "small")[0] == 250, "it lies in the database"
        assert set(names_of(host.fetch(LOCAL))) == {"before", "small"}
        assert _mount(content, "-o", "remount,bind,rw")
        assert say(host, "after", is_large=True)[0] == 250
        assert set(names_of(host.fetch(LOCAL))) == {"before", "small", "after"}
    finally:
        _unmount(content)
