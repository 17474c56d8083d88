"""A remote host that takes every mail and counts it: Postfix's own `smtp-sink`, where relay benchmarks deliver to."""

import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.host import free_ports, wait_until


class Sink:
    """The sink's process; `count()` says how many mails it took so far."""

    def __init__(self) -> None:
        self.address = ("127.0.0.1", free_ports(1)[0])
        self._counters = Path(tempfile.mkstemp(prefix="bench-sink-")[1])
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Sink":
        drop_root = ["-u", "nobody"] if os.getuid() == 0 else []
        command = ["smtp-sink", *drop_root, "-c", "-m", "512", f"127.0.0.1:{self.address[1]}", "512"]
        with self._counters.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stdin=subprocess.DEVNULL)
        wait_until(self._listens, "the sink listens")
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self._counters.unlink()

    def count(self) -> int:
        with self._counters.open("rb") as counters:
            counters.seek(max(0, self._counters.stat().st_size - 100))
            seen = re.findall(rb"mesg=(\d+)", counters.read())
        return int(seen[-1]) if seen else 0

    def wait_for(self, count: int, timeout: float = 300.0) -> None:
        """Return once that many mails were taken. Raises TimeoutError."""
        end = time.monotonic() + timeout
        while self.count() < count:
            if time.monotonic() > end:
                raise TimeoutError(f"the sink took {self.count()} of {count} mails in {timeout:g} s")
            time.sleep(0.005)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0
