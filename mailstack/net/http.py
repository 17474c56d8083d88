"""The panel's web server: twisted.web moves the bytes, a WSGI application answers in a few threads of its own.

A request is bounded in size and time before the application sees it. `stop` drains: requests that run get an end
within a bound, later ones a 503. A WSGI thread that is still writing when the reactor stops would block for ever, and
the process with it (twisted#10124); so the pool's threads are daemons and nobody waits for them past the bound.
Neighbours: `admin_ui` is the application; `app.py` adopts `factory` on the listening sockets.
"""

# mypy: disallow-untyped-calls=False
# twisted.web has no types.

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.python.threadpool import ThreadPool
from twisted.web.http import SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.wsgi import WSGIResource

THREADS = 3
"""More threads answer no faster beside one interpreter lock, and delay the reactor."""
IDLE_SECONDS = 60
MAX_BODY_OCTETS = 2 * 1024 * 1024
"""The largest form there is: an import of accounts."""
STOP_SECONDS = 5.0
STEP_SECONDS = 0.05

WsgiApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]
Pages = Mapping[bytes, Resource]
"""What the reactor answers by itself, by path: no thread of the application is needed."""


class _DaemonPool(ThreadPool):
    """Threads that do not keep the process alive."""

    @staticmethod
    def threadFactory(*arguments: Any, **keywords: Any) -> threading.Thread:  # type: ignore[override]
        return threading.Thread(*arguments, daemon=True, **keywords)


class _BoundedRequest(Request):
    """A request whose body has a bound: past it comes 413 and the end of the connection."""

    _received = 0

    def gotLength(self, length: int | None) -> None:
        if length is not None and length > MAX_BODY_OCTETS:
            self._refuse()
            length = 0
        super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > MAX_BODY_OCTETS:
            if self._received - len(data) <= MAX_BODY_OCTETS:
                self._refuse()
            return
        super().handleContentChunk(data)

    def _refuse(self) -> None:
        channel: Any = self.channel
        channel.transport.write(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        channel.loseConnection()


class _Gate(Resource):
    """Lets requests through to the application and counts those that run; refuses once it is shut."""

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(
        self, reactor: IReactorFromThreads, pool: ThreadPool, application: WsgiApplication, pages: Pages
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._application = application
        self._pages = pages
        self._wsgi = WSGIResource(reactor, pool, self._run)
        self.running = 0
        self.is_shut = False

    def render(self, request: Request) -> Any:
        request.setHeader(b"server", b"mailstack")
        if self.is_shut:
            request.setResponseCode(SERVICE_UNAVAILABLE)
            request.setHeader(b"content-type", b"text/plain; charset=utf-8")
            request.setHeader(b"connection", b"close")
            return b"The mail host is stopping.\n"
        page = self._pages.get(request.path)
        if page is not None:
            return page.render(request)
        self.running += 1
        self._wsgi.render(request)
        return NOT_DONE_YET

    def _run(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        """The application in its thread. The answer is gathered, so that what it writes is one trip to the reactor."""
        try:
            answer = self._application(environ, start_response)
            try:
                yield b"".join(answer)
            finally:
                close = getattr(answer, "close", None)
                if close is not None:
                    close()
        finally:
            self._reactor.callFromThread(self._done)

    def _done(self) -> None:
        self.running -= 1


class HttpService:
    """One WSGI application behind a twisted.web `Site`; any number of ports may share it, in the clear or over TLS."""

    def __init__(
        self,
        reactor: Any,
        wsgi_app: WsgiApplication,
        threads: int = THREADS,
        pages: Pages = MappingProxyType({}),
    ) -> None:
        self._clock: IReactorTime = reactor
        self._pool = _DaemonPool(1, threads, "http")
        self._pool.start()
        self._gate = _Gate(reactor, self._pool, wsgi_app, pages)
        self.factory = make_site(self._gate)

    async def stop(self, within: float = STOP_SECONDS) -> bool:
        """Let running requests end, for at most so many seconds; False when some had to be left behind."""
        self._gate.is_shut = True
        left = within
        while self._gate.running and left > 0:
            await self._sleep(STEP_SECONDS)
            left -= STEP_SECONDS
        is_drained = not self._gate.running
        ending = threading.Thread(target=self._pool.stop, name="http-stop", daemon=True)  # joins its threads
        ending.start()
        while is_drained and ending.is_alive() and left > 0:
            await self._sleep(STEP_SECONDS)
            left -= STEP_SECONDS
        return is_drained

    def _sleep(self, seconds: float) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self._clock.callLater(seconds, waiting.callback, None)
        return waiting


def make_site(resource: Resource) -> Any:
    """A web server for a resource: bounded requests, no traceback to a client, no line for each page."""
    site: Any = Site(resource, requestFactory=_BoundedRequest, timeout=IDLE_SECONDS)
    site.displayTracebacks = False
    site.noisy = False
    site.log = _log_nothing
    return site


def _log_nothing(request: Request) -> None:
    """The operator's log has one line for each mail event; page views are none."""
