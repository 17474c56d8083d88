"""What systemd hands to a service, sockets by name, and hears from it, its state (sd_listen_fds(3), sd_notify(3)).

Neighbours: `listen` serves the sockets; `serving` says when the host is ready, `app.py` that it reads anew and stops.
"""

import os
import socket
import time
from collections.abc import MutableMapping

FIRST_DESCRIPTOR = 3

READY = "READY=1"
STOPPING = "STOPPING=1"


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


def reloading() -> str:
    """The state while settings are read anew; `READY` ends it. The time is what `Type=notify-reload` asks for."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
