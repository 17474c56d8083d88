"""Content in columns and in files."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from sqlalchemy import Connection, insert, select, update
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from mailstack.store import schema
from mailstack.store.acceptance import accept_many
from mailstack.store.content import (
    BLOCK_OCTETS,
    ContentStore,
    ContentWriter,
    StagedContent,
    free_space,
    release_contents,
)
from mailstack.store.database import Database
from tests.store.letters import add_account, letter, local, remote

INLINE = 1000


@pytest.fixture
def contents(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content", INLINE)


async def fill(writer: ContentWriter, data: bytes, step: int) -> None:
    for start in range(0, len(data), step):
        waiting = writer.write(data[start : start + step])
        if waiting is not None:
            await waiting


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("size", [0, 1, INLINE, INLINE + 1, 3 * BLOCK_OCTETS + 7, 700_000])
async def test_content_comes_back_as_it_was(contents: ContentStore, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    writer = contents.new_writer()
    await fill(writer, data, 10_000)
    staged = await writer.finish()
    assert (staged.body is None) == (size > INLINE)
    assert staged.size_octets == size
    assert len(files_in(tmp_path / "content")) == (size > INLINE)
    stored = contents.stored(staged.size_octets, staged.body, staged.file)
    blocks = [block async for block in stored.chunks()]
    assert b"".join(blocks) == data
    assert all(len(block) <= BLOCK_OCTETS for block in blocks)
    assert await stored.start(100) == data[:100]


@pytest.mark.parametrize("size", [0, 1, INLINE, INLINE + 1, 700_000])
def test_content_is_staged_without_a_reactor(contents: ContentStore, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    staged = contents.stage_now(data[start : start + 999] for start in range(0, size, 999))
    assert staged.size_octets == size
    assert (staged.body is None) == (size > INLINE)
    assert data == (staged.body if staged.file is None else (tmp_path / "content" / staged.file).read_bytes())


def test_what_cannot_be_staged_leaves_no_file(contents: ContentStore, tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 5000
        assert files_in(tmp_path / "content")
        raise ValueError("worn")

    with pytest.raises(ValueError, match="worn"):
        contents.stage_now(chunks())
    assert files_in(tmp_path / "content") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    """A command of root's beside a server that is another user, who has to read it."""
    os.chown(tmp_path, 12345, 54321)
    staged = ContentStore(tmp_path / "content", INLINE).stage_now([b"x" * 5000])
    file = tmp_path / "content" / str(staged.file)
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (file, file.parent, file.parent.parent)}
    assert owners == {(12345, 54321)}
    assert [path.stat().st_mode & 0o777 for path in (file, file.parent)] == [0o600, 0o700]


@pytest_twisted.ensureDeferred
async def test_abandoned_content_leaves_no_file(contents: ContentStore, tmp_path: Path) -> None:
    writer = contents.new_writer()
    await fill(writer, b"x" * 500_000, 50_000)
    writer.abandon()
    in_flight = contents.new_writer()
    waiting = in_flight.write(b"y" * 5000)
    assert waiting is not None
    in_flight.abandon()
    await waiting
    await deferLater(reactor, 0.1)  # type: ignore[arg-type]
    assert files_in(tmp_path / "content") == []


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("size", [10, 5000])
async def test_what_is_staged_is_not_abandoned(contents: ContentStore, size: int) -> None:
    writer = contents.new_writer()
    await fill(writer, b"x" * size, 5000)
    staged = await writer.finish()
    writer.abandon()
    await deferLater(reactor, 0.05)  # type: ignore[arg-type]
    stored = contents.stored(staged.size_octets, staged.body, staged.file)
    assert await stored.start(size) == b"x" * size


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("size", [10, 5000])
async def test_what_is_abandoned_while_it_ends_is_not_staged(contents: ContentStore, tmp_path: Path, size: int) -> None:
    writer = contents.new_writer()
    await fill(writer, b"x" * size, 5000)
    ending = Deferred.fromCoroutine(writer.finish()) if size > INLINE else None
    writer.abandon()
    with pytest.raises(OSError, match="abandoned"):
        await (ending or writer.finish())
    await deferLater(reactor, 0.1)  # type: ignore[arg-type]
    assert files_in(tmp_path / "content") == []


@pytest_twisted.ensureDeferred
async def test_rows_that_nobody_needs_are_swept(each_database: Database, tmp_path: Path) -> None:
    contents = ContentStore(tmp_path / "content", INLINE)
    writer = contents.new_writer()
    await fill(writer, b"x" * 5000, 5000)
    file = (await writer.finish()).file

    def work(connection: Connection) -> None:
        ann = add_account(connection)
        accept_many(connection, [letter("M1", local(ann, "ann@example.test"))])
        connection.execute(insert(schema.content).values(id=77, size_octets=5000, file=file))

    await each_database.write(work)
    await contents.sweep_orphans(each_database)
    left = await each_database.read(lambda connection: list(connection.scalars(select(schema.content.c.id))))
    assert len(left) == 1
    assert left != [77]
    assert files_in(tmp_path / "content") == []


@pytest_twisted.ensureDeferred
async def test_a_short_file_is_trouble_not_a_short_mail(contents: ContentStore, tmp_path: Path) -> None:
    writer = contents.new_writer()
    await fill(writer, b"x" * 5000, 5000)
    staged = await writer.finish()
    assert staged.file
    os.truncate(tmp_path / "content" / staged.file, 100)
    with pytest.raises(OSError, match="shorter"):
        [block async for block in contents.stored(5000, None, staged.file).chunks()]


@pytest_twisted.ensureDeferred
async def test_only_old_files_without_a_row_are_swept(
    contents: ContentStore, database: Database, tmp_path: Path
) -> None:
    names = []
    for _ in range(3):
        writer = contents.new_writer()
        await fill(writer, b"x" * 5000, 5000)
        names.append((await writer.finish()).file)
    known, old, _young = names

    def name_one(connection: Connection) -> None:
        ann = add_account(connection)
        needed = letter("M1", local(ann, "ann@example.test"))
        needed.content = StagedContent(5000, None, known)
        accept_many(connection, [needed])

    await database.write(name_one)
    for name in (known, old):
        os.utime(tmp_path / "content" / str(name), (1, 1))
    assert await contents.sweep_orphans(database) == 1
    assert {f"{path.parent.name}/{path.name}" for path in files_in(tmp_path / "content")} == set(names) - {old}


def test_content_is_released_when_nobody_needs_it(each_database: Database) -> None:
    def ids(connection: Connection) -> list[int]:
        return list(connection.scalars(select(schema.content.c.id)))

    def work(connection: Connection) -> None:
        ann = add_account(connection)
        accept_many(connection, [letter("M1", local(ann, "ann@example.test"), remote("x@far.test"))])
        release_contents(connection, ids(connection))
        assert len(ids(connection)) == 1, "the maildrop and the queue need it"
        connection.execute(schema.maildrop_entry.delete())
        release_contents(connection, ids(connection))
        assert len(ids(connection)) == 1, "the queue needs it"
        connection.execute(update(schema.delivery).values(state="delivered"))
        release_contents(connection, ids(connection))
        assert ids(connection) == []
        assert connection.scalar(select(schema.message.c.content_id)) is None

    each_database.write_now(work)


def test_free_space_is_of_the_disk(tmp_path: Path) -> None:
    free, total = free_space(tmp_path)
    assert 0 < free <= total
