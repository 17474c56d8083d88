"""Whether a server runs on a data folder: it holds a shared lock there, which the kernel drops with the process.

Shared, as several nodes of one database may share a folder. Neighbours: `serving` takes it; `inspection` looks, to tell
our own ports from those that somebody else has.
"""

import fcntl
import os
from pathlib import Path

LOCK = "running.lock"


def mark_running(data: Path) -> int:
    """Hold the lock until this process ends, or until the descriptor that is given back is closed."""
    descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_running(data: Path) -> bool:
    """Whether a server holds it now; False when we may not look."""
    try:
        descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
