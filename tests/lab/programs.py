"""Runs a real client as a person would type it, and says what it said when it fails."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.host import HostError

SECONDS = 120


def run(*command: str | Path, stdin: bytes = b"", folder: Path | None = None, expect: Sequence[int] = (0,)) -> str:
    """The program's words, stdout and stderr together; HostError when its exit code is not among `expect`.

    `folder` becomes its working folder and its HOME.
    """
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder or "/nonexistent")}
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=environment,
        timeout=SECONDS,
        check=False,
    )
    words = done.stdout.decode(errors="replace")
    if done.returncode not in expect:
        raise HostError(f"{command[0]} exited {done.returncode}\n{words}")
    return words


def write_private(path: Path, text: str) -> Path:
    """A settings file with a password in it, as the clients insist on having it."""
    path.write_text(text)
    path.chmod(0o600)
    return path
