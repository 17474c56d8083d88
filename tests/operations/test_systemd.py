"""The unit: systemd reads it, its sandbox is tight, its user can be made."""

import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from mailstack.config import Smtp
from mailstack.config_values import parse_duration

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "mailstack.service"
PROGRAM = "/opt/mailstack/bin/mailstack"
MOST_EXPOSURE = 20
"""Of 100, as `systemd-analyze security` counts; most services of a distribution are above 90."""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"needs {program} (systemd)")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    text = UNIT.read_text()
    assert PROGRAM in text
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(PROGRAM, "/bin/true"))
    return copy


@needs("systemd-analyze")
def test_systemd_finds_no_fault(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs("systemd-analyze")
def test_the_sandbox_is_tight(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={MOST_EXPOSURE}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]


@needs("systemd-sysusers")
def test_the_user_is_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "sysusers.d" / "mailstack.conf")]
    subprocess.run(command, capture_output=True, check=True)
    [line] = [line for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("mailstack:")]
    assert line.endswith(":Mailstack:/var/lib/mailstack:/usr/sbin/nologin")


def test_systemd_waits_longer_than_the_grace() -> None:
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text())
    assert parse_duration(unit["Service"]["TimeoutStopSec"]) >= 2 * Smtp().shutdown_grace
    assert unit["Service"]["Type"] == "notify"
