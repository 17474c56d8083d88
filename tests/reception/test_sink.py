"""The content of one transaction meets a disk that fills, or fails, on the way."""

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from mailstack.mail.address import parse_address
from mailstack.mail.envelope import Envelope
from mailstack.reception.intake import NOT_STORED, ROOM_LOOK_OCTETS, Letter, LetterSink
from mailstack.reception.room import DISK_LOW, Room
from mailstack.store.content import ContentStore
from mailstack.store.database import Database

HEADER = b"Subject: long\r\n\r\n"
BLOCK = b"x" * 998 + b"\r\n"


class NoIntake:
    async def accept(self, letter: Letter, content: object) -> None:
        raise AssertionError("nothing is committed")


def make_sink(folder: Path, refuse: Any) -> LetterSink:
    letter = Letter("Q1", "inbound", Envelope(parse_address("a@example.org")), client="192.0.2.1", protocol="ESMTP")
    writer = ContentStore(folder, 64 * 1024).new_writer()
    return LetterSink(NoIntake(), writer, letter, lambda section: section, refuse)  # type: ignore[arg-type]


async def write(sink: LetterSink, octets: int) -> None:
    waits = sink.write(HEADER)
    for _ in range(octets // len(BLOCK)):
        waits = sink.write(BLOCK)
        if waits is not None:
            await waits


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest_twisted.ensureDeferred
async def test_long_content_is_refused_once_the_disk_is_low(tmp_path: Path) -> None:
    looks = []

    def refuse() -> Any:
        looks.append(None)
        return DISK_LOW if len(looks) > 2 else None

    sink = make_sink(tmp_path, refuse)
    await write(sink, 5 * ROOM_LOOK_OCTETS)
    assert len(looks) == 3
    answer = await sink.finish()
    assert answer.octets.startswith(b"452 4.3.1 ")
    await _threads_end()
    assert files_in(tmp_path) == []


@pytest_twisted.ensureDeferred
async def test_a_disk_that_does_not_take_the_content_is_a_452_and_no_bug(tmp_path: Path) -> None:
    sink = make_sink(tmp_path, lambda: None)
    tmp_path.joinpath("content").write_text("a file where the folder should be")
    sink._writer._folder = tmp_path / "content"
    await write(sink, 200_000)
    assert await sink.finish() == NOT_STORED


async def _threads_end() -> None:
    from twisted.internet.threads import deferToThread

    for _ in range(20):
        await deferToThread(lambda: None)


@pytest.mark.parametrize("low", ["data", "content"])
def test_the_disk_of_each_folder_counts(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, low: str
) -> None:
    sizes = {tmp_path / "data": (900, 1000), tmp_path / "content": (900, 1000)}
    monkeypatch.setattr("mailstack.reception.room.free_space", lambda folder: sizes[folder])
    room = Room(tuple(sizes), database, max_message_size=100)
    assert room.refuse_mail() is None
    sizes[tmp_path / low] = (99, 1000)
    assert room.refuse_mail() is DISK_LOW
