"""What goes wrong is one line with the mend; 0 done, 1 refused, 2 usage."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

import mailstack
from mailstack.cli.root import cli
from tests.cli.conftest import Shell

ROOT = Path(mailstack.__file__).parent.parent


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["domain", "nonsense"], "see `mailstack domain --help`"),
        (["domain", "add"], "Missing argument 'NAME'"),
        (["account", "add", "a@b.c", "--password", "x"], "No such option"),
        (["account", "add", "a@b.c", "--quota", "much"], '"much" is not a size'),
        (["limit", "set", "*"], "Missing option '--per'"),
        (["limit", "set", "*", "--per", "year", "--messages", "3"], "'year' is not one of"),
        (["queue", "retry"], "name either IDs, or --domain, or --all"),
        (["queue", "retry", "5", "--all"], "name either IDs, or --domain, or --all"),
        (["alias", "add", "a@b.c"], "Missing argument 'TARGET...'"),
        (["init", "--data", "/nowhere", "--hostname", "short"], "not a full host name"),
    ],
)
def test_usage_is_exit_2(shell: Shell, arguments: list[str], told: str) -> None:
    assert told in shell.refusal(*arguments, expect=2)


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (["account", "add", "ann@absent.test", "--password-stdin"], "long enough\n", "add it with `domain add`"),
        (["account", "add", "ann@absent.test", "--password-stdin"], "short\n", "choose one of 8 or more"),
        (["account", "add", "ann@absent.test", "--password-stdin"], "", "no password came on standard input"),
        (["account", "add", "ann@absent.test"], "", "give it by --password-stdin"),
        (["account", "show", "nobody@example.test"], "", "is not an account of this host"),
        (["queue", "drop", "99"], "", "nothing of that name"),
        (["queue", "list", "--domain", "a b"], "", "is not a domain"),
        (["limit", "clear", "example.test"], "", "has no limit"),
    ],
)
def test_refusals_are_exit_1(shell: Shell, arguments: list[str], stdin: str, told: str) -> None:
    assert told in shell.refusal(*arguments, stdin=stdin)


def test_init_writes_over_nothing(shell: Shell) -> None:
    def everything() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in shell.folder.rglob("*") if path.is_file()}

    before = everything()
    told = shell.refusal("init", "--data", str(shell.folder), "--hostname", "mx.example.org")
    assert "is there already" in told
    shell.config.unlink()
    assert "is there already" in shell.refusal("init", "--data", str(shell.folder), "--hostname", "mx.example.org")
    del before[shell.config]
    assert everything() == before


def test_init_keeps_secrets_to_the_owner(shell: Shell) -> None:
    assert (shell.folder / "tls" / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (shell.folder / "mailstack.db").stat().st_mode & 0o777 == 0o600


def test_a_broken_config_is_told_in_one_line(shell: Shell) -> None:
    shell.config.write_text(shell.config.read_text() + "\n[smtp2]\n")
    assert "unknown setting; the nearest known one is smtp" in shell.refusal("domain", "list")


def test_a_missing_database_is_not_made_in_passing(shell: Shell) -> None:
    (shell.folder / "mailstack.db").unlink()
    assert "mailstack db upgrade" in shell.refusal("domain", "list")
    assert "mailstack db upgrade" in shell.refusal("serve")
    assert not (shell.folder / "mailstack.db").exists()
    shell.run("db", "upgrade")
    assert shell.json("domain", "list") == []
    assert [rule["per"] for rule in shell.json("limit", "show", "*")] == ["hour", "day"], "a new host has limits"
    shell.run("limit", "clear", "*")
    shell.run("db", "upgrade")
    assert shell.json("limit", "show", "*") == [], "what is there already stays as it is"


def test_an_empty_database_says_how_to_fill_it(shell: Shell) -> None:
    (shell.folder / "mailstack.db").write_bytes(b"")
    assert "mailstack db upgrade" in shell.refusal("domain", "list")
    assert "mailstack db upgrade" in shell.refusal("serve")
    assert "mailstack db upgrade" in shell.run("check", expect=1).stdout


def test_a_database_of_a_newer_version_is_left_alone(shell: Shell) -> None:
    with closing(sqlite3.connect(shell.folder / "mailstack.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (["db", "upgrade"], ["serve"]):
        assert "the database is at 9999 of a newer version; run that one" in shell.refusal(*command)
    assert "database: it is at 9999 of a newer version" in shell.run("check", expect=1).stdout
    assert "upgrade`" not in shell.run("db", "current").stderr


def test_a_fault_of_ours_is_one_line_too(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailstack.management import domains

    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(domains, "find", fail)
    assert "MAILSTACK_DEBUG=1" in shell.refusal("domain", "list")
    monkeypatch.setenv("MAILSTACK_DEBUG", "1")
    assert "Traceback" in shell.run("domain", "list", expect=1).stderr


def test_ctrl_c_says_whether_something_was_done(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailstack.management import domains

    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(domains, "find", interrupt)
    last = shell.run("domain", "list", expect=1).stderr.splitlines()[-1]
    assert last == "mailstack: stopped; what was done before stays"
    monkeypatch.setattr("mailstack.cli.host._is_terminal", lambda: True)
    last = shell.run("admin", "add", "root", expect=1).stderr.splitlines()[-1]  # the end of input at the prompt
    assert last == "mailstack: given up; nothing was changed"


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAILSTACK_")}
    return subprocess.run(
        [sys.executable, "-m", "mailstack", *arguments],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_as_a_process(shell: Shell, tmp_path: Path) -> None:
    done = run("domain", "list", "--json", cwd=shell.folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    done = run("domain", "list", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("mailstack: no config file")
    named = run("domain", "add", "example.test", cwd=tmp_path, MAILSTACK_CONFIG=str(shell.config))
    assert (named.returncode, named.stderr) == (0, "")
    ascii_only = run("domain", "add", "bücher.test", cwd=shell.folder, PYTHONIOENCODING="ascii")
    assert ascii_only.returncode == 0, ascii_only.stderr
    assert run("--version", cwd=tmp_path).stdout.startswith("mailstack ")
    assert run(cwd=tmp_path).returncode == 2


def test_a_list_starts_no_reactor(shell: Shell) -> None:
    code = (
        "import sys\nfrom mailstack.cli.root import cli\n"
        f"try:\n    cli(['--config', {str(shell.config)!r}, 'domain', 'list', '--json'])\n"
        "except SystemExit:\n    pass\nprint('twisted.internet.reactor' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nFalse\n"


def test_a_reader_that_goes_away_is_no_fault(shell: Shell) -> None:
    command = f"{sys.executable} -m mailstack --config {shell.config} limit list --json | true"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert "fault" not in done.stderr


def test_a_prompt_hides_and_confirms(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run("domain", "add", "example.test")
    monkeypatch.setattr("mailstack.cli.host._is_terminal", lambda: True)
    words = ["--config", str(shell.config), "account", "add", "ann@example.test"]
    result = CliRunner().invoke(cli, words, input="correct horse\ncorrect house\ncorrect horse\ncorrect horse\n")
    assert result.exit_code == 0, result.output
    assert "do not match" in result.output
    assert "horse" not in result.output


def test_closed_streams_are_no_fault(shell: Shell) -> None:
    command = f"{sys.executable} -m mailstack --config {shell.config}"
    for words in ("domain add one.test >&-", "domain list >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f"{command} {words}"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    words = f"{command} account add ann@one.test --password-stdin <&-"
    done = subprocess.run(["sh", "-c", words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("mailstack: no password came on standard input")
