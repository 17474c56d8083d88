"""A host made by `mailstack init`, and the command line run on it within this process."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mailstack.cli.root import cli
from mailstack.store.database import Database


class Shell:
    """Runs commands on one host, as somebody at a terminal or a script would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "mailstack.toml"

    def run(self, *arguments: str, stdin: str = "", expect: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["--config", str(self.config), *arguments], prog_name="mailstack", input=stdin)
        assert result.exit_code == expect, f"{arguments}: {result.exit_code}\n{result.output}"
        return result

    def says(self, *arguments: str, stdin: str = "") -> str:
        return self.run(*arguments, stdin=stdin).stdout

    def json(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.stderr == ""
        return json.loads(result.stdout)

    def refusal(self, *arguments: str, stdin: str = "", expect: int = 1) -> str:
        """The one line on stderr of a command that does nothing."""
        result = self.run(*arguments, stdin=stdin, expect=expect)
        assert result.stdout == ""
        [line] = result.stderr.splitlines()
        assert line.startswith("mailstack: ")
        return line.removeprefix("mailstack: ")

    def database(self) -> Database:
        return Database.open("sqlite:///mailstack.db", self.folder)


@pytest.fixture(scope="session")
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("host") / "data"
    result = CliRunner().invoke(
        cli, ["init", "--data", str(folder), "--hostname", "mx.example.test"], prog_name="mailstack"
    )
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def shell(_made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A fresh host."""
    for variable in [name for name in os.environ if name.startswith("MAILSTACK_")]:
        monkeypatch.delenv(variable)
    return Shell(Path(shutil.copytree(_made_once, tmp_path / "data")))
