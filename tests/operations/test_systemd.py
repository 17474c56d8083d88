"""The units: systemd reads them, their sandbox is tight; the user and folders can be made; sockets bear their names."""

import os
import shutil
import subprocess
from configparser import RawConfigParser
from dataclasses import fields
from pathlib import Path

import pytest

from mailstack.config import Listen, Smtp
from mailstack.config_values import parse_duration, split_host_port

FOLDER = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(FOLDER.glob("*.service"))
SOCKETS = sorted((FOLDER / "sockets").glob("*.socket"))
PROGRAM = "/opt/mailstack/current/bin/mailstack"
MOST_EXPOSURE = 15
"""Of 100, as `systemd-analyze security` counts; most services of a distribution are above 90."""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"needs {program} (systemd)")


def settings(unit: Path) -> RawConfigParser:
    parsed = RawConfigParser(strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(unit.read_text())
    return parsed


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A folder of all units, the services with a program that is there."""
    for unit in SERVICES:
        text = unit.read_text()
        assert PROGRAM in text
        (tmp_path / unit.name).write_text(text.replace(PROGRAM, "/bin/true"))
    for unit in SOCKETS:
        shutil.copy(unit, tmp_path)
    return tmp_path


@needs("systemd-analyze")
@pytest.mark.parametrize("name", [unit.name for unit in SERVICES + SOCKETS])
def test_systemd_finds_no_fault(units: Path, name: str) -> None:
    command = ["systemd-analyze", "verify", "--man=no", str(units / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs("systemd-analyze")
@pytest.mark.parametrize("name", [unit.name for unit in SERVICES])
def test_the_sandbox_is_tight(units: Path, name: str) -> None:
    threshold = f"--threshold={MOST_EXPOSURE}"
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", threshold, str(units / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]


def test_the_migration_has_the_sandbox_of_the_server() -> None:
    server, migration = (
        {line for line in (FOLDER / name).read_text().splitlines() if "=" in line and not line.startswith("#")}
        for name in ("mailstack.service", "mailstack-migrate.service")
    )
    protection = ("Protect", "Private", "Restrict", "SystemCall", "Lock", "Keyring", "RemoveIPC", "NoNew", "Device")
    assert {line for line in server if line.startswith(protection)} <= migration
    assert "CapabilityBoundingSet=" in migration


@needs("systemd-sysusers")
def test_the_user_is_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "sysusers.d" / "mailstack.conf")]
    subprocess.run(command, capture_output=True, check=True)
    [line] = [line for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("mailstack:")]
    assert line.endswith(":Mailstack:/var/lib/mailstack:/usr/sbin/nologin")


@needs("systemd-tmpfiles")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders to another user")
def test_the_folders_are_made_and_closed_to_strangers(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("mailstack:x:4321:4321::/var/lib/mailstack:/usr/sbin/nologin\n")
    (tmp_path / "etc/group").write_text("mailstack:x:4321:\n")
    file = FOLDER / "tmpfiles.d" / "mailstack.conf"
    subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(file)], capture_output=True, check=True)
    made = [(tmp_path / folder).stat() for folder in ("etc/mailstack", "var/lib/mailstack")]
    assert [(stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) for stat in made] == [
        (0, 4321, 0o750),
        (4321, 4321, 0o750),
    ]


def test_systemd_waits_longer_than_the_grace() -> None:
    service = settings(FOLDER / "mailstack.service")["Service"]
    assert parse_duration(service["TimeoutStopSec"]) >= 2 * Smtp().shutdown_grace
    assert service["Type"] == "notify"
    assert parse_duration(service["WatchdogSec"]).total_seconds() > 0


@pytest.mark.parametrize("service", ["smtp", "submission", "submissions", "pop3", "pop3s"])
def test_a_socket_unit_has_the_name_and_the_port_of_its_service(service: str) -> None:
    unit = FOLDER / "sockets" / f"mailstack-{service}.socket"
    assert unit in SOCKETS
    assert settings(unit)["Socket"]["FileDescriptorName"] == service
    [default] = [field.default for field in fields(Listen) if field.name == service]
    _, port = split_host_port(default[0])  # type: ignore[index,misc]
    lines = unit.read_text().splitlines()
    assert [line for line in lines if line.startswith("ListenStream=")] == [
        f"ListenStream=0.0.0.0:{port}",
        f"ListenStream=[::]:{port}",
    ]
