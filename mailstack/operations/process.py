"""What the process asks of the system, and what Twisted says of it: open files, and connections that cannot be had.

Neighbour: `serving` sets it up before anything else.
"""

import resource
from collections.abc import Callable

from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from mailstack import maillog
from mailstack.config import Config

MAX_OPEN_FILES = 65_536
FILES_BESIDE_CONNECTIONS = 200
"""Database, content, log, the program itself."""
REPEAT_SECONDS = 60.0
"""How often at most the same want of descriptors is told."""


def raise_file_limit(config: Config) -> None:
    """Take as many descriptors as we may have, for each connection is one; say so when the config may want more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < (wanted := files_wanted(config)):
        maillog.trouble(
            "open files",
            f"{most} may be open, all connections of the config want {wanted}; raise LimitNOFILE= or `ulimit -n`",
        )


def files_wanted(config: Config) -> int:
    """How many descriptors are in use when every connection that the config allows is open."""
    strangers_and_our_own = 2 * config.smtp.max_connections
    return strangers_and_our_own + config.pop3.max_connections + config.outbound.connections + FILES_BESIDE_CONNECTIONS


def watch_twisted(rest: Callable[[], None], now: Callable[[], float]) -> None:
    """Let what Twisted and the store log as warnings and worse stand in our log too.

    Args:
        rest: called when connections cannot be accepted now (ENFILE and the like): trying on at once would be all
            that the reactor does.
        now: seconds of any steady clock.
    """
    told_at = -REPEAT_SECONDS

    def tell(event: LogEvent) -> None:
        nonlocal told_at
        failure, namespace = event.get("log_failure"), str(event.get("log_namespace", "twisted"))
        if failure is not None:
            maillog.bug(namespace, failure)
        elif _is_accept_trouble(event):
            if now() - told_at >= REPEAT_SECONDS:
                told_at = now()
                maillog.trouble("connections are turned away", formatEvent(event))
            if "acceptError" in event:
                rest()
        elif event.get("log_level", LogLevel.info) >= LogLevel.warn:
            maillog.trouble(namespace, formatEvent(event))

    globalLogPublisher.addObserver(tell)  # type: ignore[arg-type]


def _is_accept_trouble(event: LogEvent) -> bool:
    """What `twisted.internet.tcp.Port` says when accept(2) fails; with EMFILE it closes who waits, by itself."""
    return "acceptError" in event or str(event.get("log_format", "")).startswith("EMFILE encountered")
