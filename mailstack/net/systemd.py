"""What systemd hands to a service, sockets by name, and hears from it: its state, and that it lives.

See sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3). Neighbours: `listen` serves the sockets; `serving` says
when the host is ready and that it lives, `app.py` that it reads anew and stops.
"""

import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from twisted.internet.task import LoopingCall

FIRST_DESCRIPTOR = 3

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


def take_sockets(environ: MutableMapping[str, str]) -> dict[str, list[socket.socket]]:
    """The sockets that were passed to this very process, by the `FileDescriptorName=` of their units.

    Several sockets may bear one name: a socket unit with two `ListenStream=` lines passes two. The variables are taken
    out of the environment, so that no child takes the sockets for its own.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(environ.get("LISTEN_FDS", "0"))
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(variable, None)
    passed: dict[str, list[socket.socket]] = {}
    for descriptor, name in zip(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count), names, strict=False):
        os.set_inheritable(descriptor, False)
        passed.setdefault(name, []).append(socket.socket(fileno=descriptor))
    return passed


def notify(state: str) -> None:
    """Tell systemd of a state such as `READY=1`; nothing happens without systemd, or when it does not listen."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.setblocking(False)
        try:
            notifier.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)
        except OSError:
            return  # nobody waits for our word, and the mail must go on


def status(line: str) -> str:
    """What `systemctl status` shows, in one line."""
    return f"STATUS={line}"


def reloading() -> str:
    """The state while settings are read anew; `READY` ends it. The time is what `Type=notify-reload` asks for."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


def watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """How long this very process may be silent before systemd takes it for stuck; None = it does not watch."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1_000_000 if microseconds.isdigit() and int(microseconds) else None


def tell_alive(clock: Any, environ: Mapping[str, str]) -> None:
    """Tell systemd twice in each `WatchdogSec=` that the reactor turns, as long as it does; from now to the end."""
    silence = watchdog_seconds(environ)
    if silence is not None:
        call = LoopingCall(notify, ALIVE)
        call.clock = clock
        call.start(silence / 2)
