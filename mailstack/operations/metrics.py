"""What Prometheus may ask of the host: the same events as the log's lines, counted, and how full everything is.

`Metrics.note` hears each line of `maillog`; open sessions and the queue are asked for when somebody scrapes. Labels are
few and their values bounded: no address and no domain is ever one. Neighbours: `app.py` wires it to `[listen] metrics`;
`store/group_commit` times commits.
"""

# mypy: disallow-untyped-calls=False, disallow-subclassing-any=False
# twisted.web has no types.

from collections.abc import Callable, Collection, Coroutine, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from mailstack import __version__, maillog
from mailstack.net.http import make_site
from mailstack.operations.health import PATH, Health, HealthPage
from mailstack.store.engine import StoreTrouble

COMMIT_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds. An fsync takes 1 to 20 ms on a disk that is well."""
_OUTCOMES = ("delivered", "deferred", "failed", "held", "released")

Values = Mapping[str, object]
QueueSizes = Callable[[], Coroutine[Any, Any, Mapping[str, int]]]


class Metrics:
    """The numbers of one host."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("mailstack", "The version that runs", registry=registry).info({"version": __version__})
        self._accepted = self._counter("messages_accepted", "Messages that got their 250", "origin")
        self._octets = self._counter("accepted_octets", "Octets of content accepted")
        self._deliveries = self._counter("deliveries", "What became of recipients, by the log's words", "outcome", "to")
        self._bounces = self._counter("bounces", "Reports of failure or delay to senders, and double bounces", "kind")
        self._refusals = self._counter("refusals", "Refusals by us, temporary ones too", "stage")
        self._logins = self._counter("logins", "Log-ins", "service", "outcome")
        self._fetched = self._counter("fetched_messages", "Messages handed out by POP3")
        self._trouble = self._counter("trouble", "Lines `trouble` and `bug` of the log", "kind")
        self._sessions = Gauge("mailstack_sessions", "Open connections", ["service"], registry=registry)
        self._queue = Gauge("mailstack_queue_recipients", "Recipients in the queue", ["state"], registry=registry)
        self._ready = Gauge("mailstack_ready", "1 while /healthz says 200, else 0", registry=registry)
        self._certificate = Gauge(
            "mailstack_certificate_end_timestamp_seconds", "When the certificate in use ends", registry=registry
        )
        self._commits = Histogram(
            "mailstack_commit_seconds", "Time of a commit", buckets=COMMIT_BUCKETS, registry=registry
        )
        self._local = {event: self._deliveries.labels(event, "local") for event in _OUTCOMES}

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"mailstack_{name}", about, labels, registry=self.registry)

    # --- what happens ---

    def note(self, event: str, values: Values) -> None:
        """Count a line of the log. In any thread."""
        counts = _COUNTED.get(event)
        if counts is not None:
            counts(self, event, values)

    def commit_took(self, seconds: float) -> None:
        """Note how long a commit of the group took. In any thread."""
        self._commits.observe(seconds)

    def watch_sessions(self, service: str, connections: Collection[object]) -> None:
        """Count the open connections of a service when somebody asks."""
        self._sessions.labels(service).set_function(lambda: len(connections))

    def watch_health(self, health: Health) -> None:
        """Tell whether the host can do its work when somebody asks."""
        self._ready.set_function(lambda: health.trouble() is None)

    def watch_certificate(self, ends_at: Callable[[], datetime]) -> None:
        """Tell when the certificate ends when somebody asks; it may be another after a reload."""
        self._certificate.set_function(lambda: ends_at().timestamp())

    def set_queue(self, sizes: Mapping[str, int]) -> None:
        """How many recipients wait and how many are held."""
        for state, size in sizes.items():
            self._queue.labels(state).set(size)

    def _note_accepted(self, _: str, values: Values) -> None:
        origin = "submission" if values.get("login") else "own" if values.get("client") == "local" else "world"
        self._accepted.labels(origin).inc()
        self._octets.inc(int(str(values["size"])))

    def _note_outcome(self, event: str, values: Values) -> None:
        is_local = values.get("peer", "local") == "local"
        counter = self._local[event] if is_local else self._deliveries.labels(event, "remote")
        counter.inc()

    def _note_bounce(self, event: str, _: Values) -> None:
        self._bounces.labels("double" if event == "double-bounce" else "report").inc()

    def _note_refusal(self, _: str, values: Values) -> None:
        self._refusals.labels(values["stage"]).inc()

    def _note_login(self, event: str, values: Values) -> None:
        self._logins.labels(values["service"], "failed" if event == "login-failed" else "ok").inc()

    def _note_fetched(self, _: str, values: Values) -> None:
        self._fetched.inc(int(str(values["retrieved"])))

    def _note_trouble(self, event: str, _: Values) -> None:
        self._trouble.labels(event).inc()


_COUNTED: dict[str, Callable[[Metrics, str, Values], None]] = {
    "accepted": Metrics._note_accepted,
    **dict.fromkeys(_OUTCOMES, Metrics._note_outcome),
    **dict.fromkeys(("bounced", "double-bounce"), Metrics._note_bounce),
    "refused": Metrics._note_refusal,
    **dict.fromkeys(("login", "login-failed"), Metrics._note_login),
    "fetched": Metrics._note_fetched,
    **dict.fromkeys(("trouble", "bug"), Metrics._note_trouble),
}


class _Page(Resource):
    """`GET /metrics`. Prometheus' own resource answers in the reactor's thread pool, whose
    threads a stopping reactor waits for (twisted#10124).
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, metrics: Metrics, queue_sizes: QueueSizes) -> None:
        super().__init__()
        self._metrics = metrics
        self._queue_sizes = queue_sizes

    def render_GET(self, request: Request) -> Any:  # noqa: N802  # Twisted's name
        Deferred.fromCoroutine(self._answer(request)).addErrback(lambda failure: maillog.bug("metrics", failure))
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        gone: Deferred[None] = request.notifyFinish()
        gone.addErrback(lambda _: None)
        try:
            self._metrics.set_queue(await self._queue_sizes())
        except StoreTrouble as error:  # the last sizes stay; the rest is still worth knowing
            maillog.trouble("metrics", error)
        if not request._disconnected:
            request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode())
            request.write(generate_latest(self._metrics.registry))
            request.finish()


def metrics_site(metrics: Metrics, queue_sizes: QueueSizes, health: Health) -> Any:
    """The web server for who watches the host: `/metrics`, which Prometheus scrapes, and `/healthz`."""
    root = Resource()
    root.putChild(b"metrics", _Page(metrics, queue_sizes))
    root.putChild(PATH.removeprefix(b"/"), HealthPage(health, tells_why=True))
    return make_site(root)
