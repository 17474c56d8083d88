"""The life of the serving process: its start with or without root's rights, its reactor, its end.

Order matters at the start: sockets are bound and the certificate is read while the process may still be root, then it
becomes the configured user, then `app.Host` opens what that user owns and takes connections. At the end the host stops
listening, lets running transactions end, and closes the store last.
"""

import faulthandler
import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.python.threadable import isInIOThread

from mailstack import maillog
from mailstack.app import Host
from mailstack.config import SERVICES, Config
from mailstack.net import systemd
from mailstack.net.listen import Listeners
from mailstack.net.tls import server_options
from mailstack.operations.process import raise_file_limit, watch_twisted
from mailstack.operations.rights import become, require_own
from mailstack.operations.running import mark_running
from mailstack.store.engine import sqlite_file


def serve(config: Config, *, read_config: Callable[[], Config], ready: Callable[[], None]) -> None:
    """Run all services of a config until SIGTERM or SIGINT.

    Args:
        config: the settings.
        read_config: reads them anew, on SIGHUP.
        ready: called once every port listens.

    Raises:
        ListenError: an address cannot be listened on; nothing was started.
        RightsError: the user does not exist, or may not write the data; nothing was started.
        TlsFilesError: the certificate cannot be used; nothing was started.
    """
    from twisted.internet import reactor as installed

    reactor: Any = installed
    faulthandler.enable()  # the watchdog's SIGABRT tells in which line each thread hangs

    maillog.write_as(config.log.format)
    listeners = Listeners()
    watch_twisted(lambda: listeners.rest(reactor), reactor.seconds)
    raise_file_limit(config)
    for service in SERVICES:
        listeners.bind(service, getattr(config.listen, service))
    listeners.refuse_unused()
    tls = server_options(config.tls.certificate, config.tls.key)
    become(config.user)
    require_own(config.data, sqlite_file(config.database, config.data))
    mark_running(config.data)
    host = Host(config, read_config, reactor, listeners, tls)
    trouble: list[Failure] = []

    async def start() -> None:
        await host.start()
        signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(host.reload))
        maillog.started(listeners.describe())
        systemd.notify(systemd.READY)
        systemd.tell_alive(reactor, os.environ)
        ready()

    def give_up(failure: Failure) -> None:
        trouble.append(failure)
        reactor.stop()

    def begin() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what it would have us read is new as yet
        Deferred.fromCoroutine(start()).addErrback(give_up)

    def end() -> Deferred[None]:
        for again in (signal.SIGINT, signal.SIGTERM):  # an impatient second one changes nothing
            signal.signal(again, lambda *_: reactor.callFromThread(maillog.stopping, "asked to again"))
        return Deferred.fromCoroutine(host.stop())

    reactor.callWhenRunning(begin)
    reactor.addSystemEventTrigger("before", "shutdown", end)
    maillog.gather(lambda flush: _call_soon(reactor, flush))
    reactor.run()
    maillog.gather(None)
    if trouble:
        trouble[0].raiseException()


def _call_soon(reactor: Any, flush: Callable[[], None]) -> None:
    """In the reactor's next turn; from the panel's threads too."""
    if isInIOThread():  # type: ignore[no-untyped-call]
        reactor.callLater(0, flush)
    else:
        reactor.callFromThread(flush)
