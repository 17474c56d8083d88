"""`mailstack import`: what it does, what it says, and its exit codes."""

import mailbox
import os
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.cli.conftest import Shell

ANN = "ann@example.test"


@pytest.fixture
def host(shell: Shell) -> Shell:
    shell.run("domain", "add", "example.test")
    shell.run("account", "add", ANN, "--password-stdin", "--quota", "1M", stdin="correct horse\n")
    return shell


def letters(count: int) -> list[EmailMessage]:
    made = []
    for number in range(count):
        letter = EmailMessage()
        letter["Subject"] = f"letter {number}"
        letter.set_content("From the start of a line\n" * 10)
        made.append(letter)
    return made


@pytest.fixture(params=["maildir", "mbox"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """Three messages, as Python's own library writes them."""
    path = tmp_path / "source"
    box: mailbox.Mailbox[mailbox.Message] = (
        mailbox.Maildir(str(path)) if request.param == "maildir" else mailbox.mbox(str(path))  # type: ignore[assignment]
    )
    for letter in letters(3):
        box.add(letter)
    box.close()
    return request.param, path


def test_it_imports_once(host: Shell, source: tuple[str, Path]) -> None:
    command = ("import", source[0], str(source[1]), "--account", ANN)
    assert host.says(*command, "--dry-run").startswith("would be imported: 3 messages, ")
    assert host.json("account", "show", ANN)["messages"] == 0
    assert host.says(*command).startswith("imported: 3 messages, ")
    assert host.says(*command) == "imported: 0 messages, 0\nthere already: 3\n"
    assert host.json("account", "show", ANN)["messages"] == 3


def test_what_is_left_out_is_told_and_the_exit_code_says_so(host: Shell, tmp_path: Path) -> None:
    for part in ("cur", "new", ".Sent/cur"):
        (tmp_path / "box" / part).mkdir(parents=True)
    (tmp_path / "box" / "new" / "1700000001.a").write_bytes(b"no header\n")
    (tmp_path / "box" / "new" / "1700000002.b").write_bytes(b"A: 1\n\n" + b"x" * (2 << 20))
    (tmp_path / "box" / "new" / "1700000003.c").write_bytes(b"A: 1\n\nfits\n")
    result = host.run("import", "maildir", str(tmp_path / "box"), "--account", ANN, expect=1)
    assert result.stderr.splitlines() == [
        "subfolders are left out: .Sent; name one as PATH to import it",
        f"{tmp_path}/box/new/1700000001.a: begins with no header field",
        f"{tmp_path}/box/new/1700000002.b: does not fit into the account's quota",
    ]
    assert sorted(result.stdout.splitlines()) == [
        "imported: 1 messages, 14",
        "left out: 1, each begins with no header field",
        "left out: 1, each does not fit into the account's quota",
        "of those with a new unique-id, as none is known: 1",
    ]
    again = host.run("import", "maildir", str(tmp_path / "box"), "--account", ANN, "--over-quota", expect=1)
    assert "imported: 1 messages, 2" in again.stdout


def test_what_cannot_be_imported_is_refused_in_one_line(host: Shell, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no mbox\n")
    (tmp_path / "box" / "cur").mkdir(parents=True)
    to_ann = ("--account", ANN)
    assert "is no mbox" in host.refusal("import", "mbox", str(tmp_path / "text"), *to_ann)
    assert "is no file" in host.refusal("import", "mbox", str(tmp_path / "box"), *to_ann)
    assert "is no Maildir" in host.refusal("import", "maildir", str(tmp_path), *to_ann)
    maildir = ("import", "maildir", str(tmp_path / "box"))
    assert "pop3_save_uidl" in host.refusal(*maildir, *to_ann, "--uidl-format", "%m")
    assert "is not an account" in host.refusal(*maildir, "--account", "nobody@example.test")
    host.refusal(*maildir, expect=2)
    assert host.says(*maildir, *to_ann) == "imported: 0 messages, 0\n", "an empty one is no fault"


def test_a_path_that_is_no_utf_8_is_no_hindrance(host: Shell, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"b\xfcr")
    path.write_bytes(b"From ann Wed Nov 25 07:01:12 2026\nno header\n")
    result = host.run("import", "mbox", str(path), "--account", ANN, expect=1)
    assert result.stderr == "the message at octet 0: begins with no header field\n"
