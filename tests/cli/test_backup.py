"""A host is backed up by one command and restored by another."""

import errno
import fcntl
import gzip
import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from mailstack.store import migrate
from mailstack.store.backup_runs import backup_runs
from mailstack.store.database import Database
from mailstack.store.restoring import restore_backup
from mailstack.store.schema import account, content, delivery, maildrop_entry
from mailstack.store.snapshot import write_backup
from tests.cli.conftest import Shell
from tests.postgres import PostgresServer
from tests.store.spooled import put_message

SMALL, LARGE = b"Subject: s\r\n\r\nsmall\r\n", b"Subject: l\r\n\r\n" + b"\x00\xff large\r\n" * 20_000


def fill(shell: Shell) -> None:
    shell.run("domain", "add", "example.test")
    shell.run("account", "add", "ann@example.test", "--password-stdin", stdin="correct horse battery\n")
    file = shell.folder / "content" / "ab" / "abcd"
    file.parent.mkdir(parents=True)
    file.write_bytes(LARGE)
    database = shell.database()
    with_values = ({"size_octets": len(SMALL), "body": SMALL}, {"size_octets": len(LARGE), "file": "ab/abcd"})
    for number, values in enumerate(with_values):
        database.write_now(lambda c, n=number, v=values: put_mail(c, n, v))
    database.write_now(lambda c: put_message(c, "Q1", ["bob@example.net"]))
    database.close()


def put_mail(connection, number, values) -> None:
    content_id = connection.execute(insert(content).values(values)).inserted_primary_key[0]
    row = {
        "account_id": connection.scalar(select(account.c.id)),
        "content_id": content_id,
        "prefix": b"Return-Path: <>\r\n",
    }
    connection.execute(
        insert(maildrop_entry).values(**row, unique_id=f"u{number}", size_octets=values["size_octets"], received_at=1)
    )


def mails(shell: Shell) -> dict[str, bytes]:
    database = shell.database()
    joined = select(maildrop_entry.c.unique_id, content.c.body, content.c.file).join(content)
    rows = database.read_now(lambda c: c.execute(joined).all())
    database.close()
    return {u: body if body is not None else (shell.folder / "content" / file).read_bytes() for u, body, file in rows}


def emptied(shell: Shell) -> None:
    for path in shell.folder.glob("mailstack.db*"):
        path.unlink()
    shutil.rmtree(shell.folder / "content")


def test_a_restored_host_has_every_octet_and_unique_id(shell: Shell, tmp_path: Path) -> None:
    fill(shell)
    backup = tmp_path / "a.backup"
    shell.run("backup", str(backup))
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    emptied(shell)
    assert "2 mails" in shell.says("restore", str(backup))
    assert mails(shell) == {"u0": SMALL, "u1": LARGE}
    database = shell.database()
    row = database.read_now(lambda c: c.execute(select(delivery.c.state, delivery.c.held_by)).one())
    database.close()
    assert row.state == "held"
    assert "restored from the backup of" in row.held_by
    assert "ann@example.test" in shell.says("account", "list")


def test_a_content_file_that_goes_meanwhile_takes_its_entry_along(shell: Shell, tmp_path: Path) -> None:
    fill(shell)
    (shell.folder / "content" / "ab" / "abcd").unlink()
    assert "1 mail left out" in shell.run("backup", str(tmp_path / "a")).stderr
    emptied(shell)
    shell.run("restore", str(tmp_path / "a"))
    assert mails(shell) == {"u0": SMALL}


def test_nothing_is_overwritten_and_a_cut_backup_restores_nothing(shell: Shell, tmp_path: Path) -> None:
    fill(shell)
    backup = tmp_path / "a"
    shell.run("backup", str(backup))
    assert "not overwritten" in shell.refusal("backup", str(backup))
    assert "restore onto an empty one" in shell.refusal("restore", str(backup))
    emptied(shell)
    backup.write_bytes(backup.read_bytes()[:-40])
    assert "no whole backup" in shell.refusal("restore", str(backup))
    shell.run("restore", str(backup), expect=1)
    assert mails(shell) == {}


def test_a_host_moves_to_postgresql_and_back(shell: Shell, tmp_path: Path, postgres_server: PostgresServer) -> None:
    fill(shell)
    there, back = tmp_path / "there", tmp_path / "back"
    shell.run("backup", str(there))
    url = postgres_server.make_database()
    migrate.upgrade(url)
    database = Database.open(url, tmp_path)
    folder, head = tmp_path / "content", migrate.head()
    try:
        assert restore_backup(database, folder, there, revision=head, inline_octets=100, send_queue=False) == 2
        database.write_now(lambda c: put_mail(c, 7, {"size_octets": len(SMALL), "body": SMALL}))  # numbers go on
        write_backup(database, folder, back, revision=head, now=datetime.now(UTC))
    finally:
        database.close()
        postgres_server.drop_database(url)
    emptied(shell)
    shell.run("restore", str(back))
    assert mails(shell) == {"u0": SMALL, "u1": LARGE, "u7": SMALL}


def test_octets_that_changed_are_found_and_nothing_is_restored(shell: Shell, tmp_path: Path) -> None:
    fill(shell)
    backup = tmp_path / "a"
    shell.run("backup", str(backup))
    assert "is whole" in shell.says("backup", "--verify", str(backup))
    whole = gzip.decompress(backup.read_bytes())
    emptied(shell)
    for old, new, member in (
        (b"small", b"smell", "content/"),
        (b"\xff large", b"\xff lurge", "content/"),
        (b"alice@example.org", b"alise@example.org", "rows/message"),
        (b"content/1", b"kontent/1", "file/tls.key"),
        (b'"local"', b'"lokal"', "rows/domain"),
        (b'"local_part": "ann"', b'"local_part", "ann"', "rows/account"),
    ):
        assert old in whole
        backup.write_bytes(gzip.compress(whole.replace(old, new, 1)))
        for refusal in (shell.refusal("restore", str(backup)), shell.refusal("backup", "--verify", str(backup))):
            assert "no whole backup" in refusal
            assert f"damaged at {member}" in refusal or f"damaged after {member}" in refusal
    assert mails(shell) == {}
    assert not [path for path in (shell.folder / "content").glob("*/*") if path.is_file()]


def test_two_runs_do_not_write_one_file(shell: Shell, tmp_path: Path) -> None:
    fill(shell)
    backup, part = tmp_path / "a", tmp_path / "a.part"
    with part.open("wb") as other:
        other.write(b"what a killed run left")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another backup writes it now" in shell.refusal("backup", str(backup))
        assert part.exists()
    shell.run("backup", str(backup))
    assert [path.name for path in tmp_path.glob("a*")] == ["a"]


def test_what_cannot_be_read_back_gets_no_name(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(shell)
    backup = tmp_path / "a"
    fsync = os.fsync

    def spoil(descriptor: int) -> None:
        fsync(descriptor)
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("a.part"):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - 30)

    monkeypatch.setattr(os, "fsync", spoil)
    assert "no whole backup" in shell.refusal("backup", str(backup))
    assert not list(tmp_path.glob("a*"))


def test_a_restored_file_and_its_folders_are_durable(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shell)
    shell.run("backup", str(tmp_path / "a"))
    emptied(shell)
    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    shell.run("restore", str(tmp_path / "a"))
    [file] = [path for path in (shell.folder / "content").glob("*/*") if path.is_file()]
    assert {str(file), str(file.parent), str(file.parent.parent)} <= set(synced)


def test_each_run_is_remembered(shell: Shell, tmp_path: Path) -> None:
    fill(shell)
    assert "backup: no backup was ever made; make one each day" in shell.run("check").stdout
    missing = tmp_path / "nowhere" / "a"
    shell.refusal("backup", str(missing))
    assert f"no backup was ever made (the last run failed: {missing}.part: No such file" in shell.run("check").stdout
    shell.run("backup", str(tmp_path / "a"))
    assert "backup" not in shell.run("check").stdout
    shell.refusal("backup", str(tmp_path / "a"))
    database = shell.database()
    runs = database.read_now(backup_runs)
    database.close()
    assert runs.last is not None
    assert "not overwritten" in runs.last.error
    assert runs.last_good is not None
    assert (runs.last_good.place, runs.last_good.size_octets) == (f"{tmp_path}/a", (tmp_path / "a").stat().st_size)


def test_a_full_disk_leaves_nothing_behind(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(shell)

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    assert "No space left" in shell.refusal("backup", str(tmp_path / "a"))
    assert not list(tmp_path.glob("a*"))
    assert "the last run failed: No space left" in shell.run("check").stdout
