"""`mailstack restore FILE --data DIR`: a whole host on a machine that has nothing."""

import os
import shutil
import stat
from pathlib import Path

from tests.cli.conftest import Shell
from tests.cli.test_backup import LARGE, SMALL, emptied, fill, mails

PASSWORD_LINE = 'smarthost_password_file = "secrets/smarthost"'


def with_secret(shell: Shell) -> None:
    fill(shell)
    secret = shell.folder / "secrets" / "smarthost"
    secret.parent.mkdir()
    secret.write_bytes(b"a secret\n")
    text = shell.config.read_text().replace("[outbound]", f"[outbound]\n{PASSWORD_LINE}")
    shell.config.write_text(text)


def test_a_whole_host_comes_back_in_an_empty_folder(shell: Shell, tmp_path: Path) -> None:
    with_secret(shell)
    backup, new = tmp_path / "a", Shell(tmp_path / "new")
    assert shell.run("backup", str(backup)).stderr == ""
    old = {path: (shell.folder / path).read_bytes() for path in ("tls/cert.pem", "tls/key.pem", "secrets/smarthost")}
    shutil.rmtree(shell.folder)
    said = Shell(tmp_path / "nowhere").says("restore", str(backup), "--data", str(new.folder))
    assert "2 mails" in said
    assert f"--config {new.config} check" in said
    assert {path: (new.folder / path).read_bytes() for path in old} == old
    assert stat.S_IMODE((new.folder / "tls" / "key.pem").stat().st_mode) == 0o600
    assert mails(new) == {"u0": SMALL, "u1": LARGE}
    assert "nothing is wrong" in new.says("check")
    assert not (new.folder / "mailstack.toml.new").exists()
    assert "is there already" in shell.refusal("restore", str(backup), "--data", str(new.folder))


def test_a_data_folder_by_its_whole_path_becomes_the_new_one(shell: Shell, tmp_path: Path) -> None:
    fill(shell)
    config = shell.config.read_text()
    assert 'data = "."' in config
    backup = tmp_path / "a"
    for line in (f'data = "{shell.folder}"', "data='.' # here"):
        shell.config.write_text(config.replace('data = "."', line))
        backup.unlink(missing_ok=True)
        shell.run("backup", str(backup))
        new = Shell(tmp_path / "new")
        shell.run("restore", str(backup), "--data", str(new.folder))
        assert mails(new) == {"u0": SMALL, "u1": LARGE}
        assert "nothing is wrong" in new.says("check")
        assert (new.folder / "mailstack.db").exists()
        shutil.rmtree(new.folder)
    assert mails(shell) == {"u0": SMALL, "u1": LARGE}


def test_a_file_that_cannot_be_read_is_told(shell: Shell, tmp_path: Path) -> None:
    with_secret(shell)
    (shell.folder / "secrets" / "smarthost").unlink()
    assert "left out: " in shell.run("backup", str(tmp_path / "a")).stderr


def test_a_damaged_backup_makes_nothing(shell: Shell, tmp_path: Path) -> None:
    fill(shell)
    backup, new = tmp_path / "a", tmp_path / "new"
    shell.run("backup", str(backup))
    octets = backup.read_bytes()
    backup.write_bytes(octets[:-300] + octets[-299:])
    assert "no whole backup" in shell.refusal("restore", str(backup), "--data", str(new))
    assert not new.exists()


def test_what_failed_midway_can_be_done_again(shell: Shell, tmp_path: Path) -> None:
    fill(shell)
    backup, new = tmp_path / "a", Shell(tmp_path / "new")
    shell.run("backup", str(backup))
    emptied(shell)
    new.folder.mkdir()
    (new.folder / "content").write_text("in the way")
    shell.refusal("restore", str(backup), "--data", str(new.folder))
    assert not new.config.exists()
    os.unlink(new.folder / "content")
    shell.run("restore", str(backup), "--data", str(new.folder))
    assert mails(new) == {"u0": SMALL, "u1": LARGE}
