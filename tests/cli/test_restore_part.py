"""`mailstack restore FILE --account A | --domain D`: a part of a backup comes back into a host that is not empty."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from mailstack.store.schema import account, content, credential, directory_version, mailbox, maildrop_entry
from tests.cli.conftest import Shell
from tests.cli.test_backup import LARGE, SMALL, fill, mails

ANN, BEN = "ann@example.test", "ben@example.test"


@pytest.fixture
def backup(shell: Shell, tmp_path: Path) -> str:
    """Of a host with ann, who has a small and a large mail and a limit, ben and an alias. The host is as it was."""
    fill(shell)
    shell.run("account", "add", BEN, "--password-stdin", "--quota", "1G", stdin="correct horse battery\n")
    shell.run("alias", "add", "sales@example.test", BEN, "bob@example.net")
    shell.run("limit", "set", ANN, "--per", "day", "--recipients", "7")
    shell.run("backup", str(tmp_path / "a"))
    return str(tmp_path / "a")


def rows(shell: Shell, *columns: Any) -> list[tuple[Any, ...]]:
    database = shell.database()
    found = database.read_now(lambda connection: connection.execute(select(*columns)).all())
    database.close()
    return [tuple(row) for row in found]


def change(shell: Shell, statement: Any) -> None:
    database = shell.database()
    database.write_now(lambda connection: connection.execute(statement))
    database.close()


def listed(shell: Shell, noun: str = "account") -> list[str]:
    return [row["address"] for row in shell.json(noun, "list")]


def large_files(shell: Shell) -> int:
    return sum(path.is_file() for path in (shell.folder / "content").glob("*/*"))


def test_a_removed_account_comes_back_with_all_it_had(shell: Shell, backup: str) -> None:
    kept = (credential.c.hash, credential.c.scram, credential.c.created_at)
    before = sorted(rows(shell, *kept))
    shell.run("account", "remove", ANN)
    version = rows(shell, directory_version.c.version)[0][0]
    dry = shell.says("restore", backup, "--account", ANN, "--dry-run")
    assert "would make 1 account\n2 mails would be restored, 0 there; nothing was changed" in dry
    assert listed(shell) == [BEN]
    assert rows(shell, directory_version.c.version) == [(version,)]
    assert "made 1 account\n2 mails restored, 0 were there" in shell.says("restore", backup, "--account", ANN)
    assert mails(shell) == {"u0": SMALL, "u1": LARGE}
    assert rows(shell, maildrop_entry.c.received_at) == [(1,), (1,)]
    assert sorted(rows(shell, *kept)) == before
    assert rows(shell, directory_version.c.version) == [(version + 1,)]
    assert [limit["recipients"] for limit in shell.json("limit", "show", ANN) if limit["scope"] == ANN] == [7]
    used = (len(SMALL) + len(LARGE), 2)
    assert rows(shell, mailbox.c.used_octets, mailbox.c.used_messages).count(used) == 1


def test_mail_that_is_there_is_left_alone(shell: Shell, backup: str) -> None:
    change(shell, delete(maildrop_entry).where(maildrop_entry.c.unique_id == "u1"))
    [(small,)] = rows(shell, maildrop_entry.c.id)
    assert "1 mail restored, 1 was there" in shell.says("restore", backup, "--account", ANN)
    assert (small, "u0") in rows(shell, maildrop_entry.c.id, maildrop_entry.c.unique_id)
    contents = rows(shell, func.count(content.c.id))
    files = large_files(shell)
    said = shell.says("restore", backup, "--account", ANN)
    assert "made no account or alias, as all are there\n0 mails restored, 2 were there" in said
    assert mails(shell) == {"u0": SMALL, "u1": LARGE}
    assert (rows(shell, func.count(content.c.id)), large_files(shell)) == (contents, files)


def test_a_removed_domain_comes_back_whole_and_nothing_else_changes(shell: Shell, backup: str) -> None:
    aliases, accounts = shell.json("alias", "list"), rows(shell, account.c.local_part, account.c.quota_octets)
    shell.run("domain", "remove", "example.test", "--with-accounts")
    shell.run("domain", "add", "other.test")
    shell.run("account", "add", "eve@other.test", "--password-stdin", stdin="correct horse battery\n")
    said = shell.says("restore", backup, "--domain", "example.test")
    assert "made 1 domain, 2 accounts, 1 alias\n2 mails restored" in said
    assert shell.json("alias", "list") == aliases
    assert sorted(rows(shell, account.c.local_part, account.c.quota_octets)) == sorted([*accounts, ("eve", None)])
    assert mails(shell) == {"u0": SMALL, "u1": LARGE}
    assert [limit["recipients"] for limit in shell.json("limit", "show", ANN) if limit["scope"] == ANN] == [7]


def test_a_password_that_is_new_stays(shell: Shell, backup: str) -> None:
    shell.run("account", "passwd", ANN, "--password-stdin", stdin="another horse battery\n")
    before = rows(shell, credential.c.hash)
    shell.run("restore", backup, "--domain", "example.test")
    assert rows(shell, credential.c.hash) == before


def test_what_cannot_be_done_is_refused(shell: Shell, backup: str) -> None:
    assert "is not in the backup" in shell.refusal("restore", backup, "--account", "nobody@example.test")
    assert "is not in the backup" in shell.refusal("restore", backup, "--domain", "nowhere.test")
    for wrong in (["--account", ANN, "--domain", "example.test"], ["--dry-run"], ["--account", ANN, "--send-queue"]):
        shell.refusal("restore", backup, *wrong, expect=2)
    shell.run("account", "remove", ANN)
    shell.run("alias", "add", ANN, BEN)
    assert "is an alias already" in shell.refusal("restore", backup, "--account", ANN)
    shell.run("alias", "remove", ANN)
    octets = Path(backup).read_bytes()
    Path(backup).write_bytes(octets[:-300] + octets[-299:])
    assert "no whole backup" in shell.refusal("restore", backup, "--account", ANN)
    assert listed(shell) == [BEN]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who alone may give files away")
def test_what_root_restores_belongs_to_the_server(shell: Shell, backup: str) -> None:
    shell.run("account", "remove", ANN)
    shutil.rmtree(shell.folder / "content")
    os.chown(shell.folder, 65534, 65534)
    shell.run("restore", backup, "--account", ANN)
    made = [shell.folder / "content", *(shell.folder / "content").rglob("*")]
    assert len(made) == 3
    assert {path.stat().st_uid for path in made} == {65534}
