"""A pure SMTP session with a FakeReception, driven without a reactor."""

import itertools

from mailstack.config import Smtp
from mailstack.net.smtp_dispatch import Dispatcher
from mailstack.smtp.events import Close, SlowDown, StartTls
from mailstack.smtp.profile import Profile
from mailstack.smtp.questions import Service, SessionFacts
from mailstack.smtp.session import Session
from tests.smtp.reception import FakeReception


def make_profile(service=Service.MX, *, offers_tls=True, limits=None):
    limits = limits or Smtp()
    return Profile(
        hostname="mx.example.test",
        service=service,
        offers_tls=offers_tls,
        max_message_size=limits.max_message_size,
        max_recipients=limits.max_recipients,
        max_line=limits.max_line,
        soft_errors=limits.soft_errors,
        hard_errors=limits.hard_errors,
    )


class Core:
    """What a dialog talks to; `send` gives what the server says to it."""

    def __init__(self, service=Service.MX, *, tls=None, limits=None, reception=None):
        self.reception = reception or FakeReception()
        facts = SessionFacts(1, service, "192.0.2.1", tls=tls)
        nonces = (f"nonce-of-the-server-{number}" for number in itertools.count())
        self.session = Session(facts, make_profile(service, limits=limits), lambda: next(nonces))
        self.bugs = []
        self.dispatcher = Dispatcher(self.session, self.reception, lambda what, failure: self.bugs.append(what))
        self.is_closed = False
        self.wants_tls = False
        self.slow_downs = []

    def send(self, data=b""):
        self.session.receive(data)
        while (event := self.session.next_event()) is not None:
            if isinstance(event, SlowDown):
                self.slow_downs.append(event.seconds)
            elif isinstance(event, StartTls | Close):
                self.dispatcher.abandon()
                self.is_closed |= isinstance(event, Close)
                self.wants_tls |= isinstance(event, StartTls)
            else:
                finish_now(self.dispatcher.handle(event))
        return self.session.take_output()

    def start_tls(self):
        assert self.wants_tls
        self.wants_tls = False
        self.session.tls_started("TLSv1.3 TLS_AES_256_GCM_SHA384")


def finish_now(coroutine):
    """The result of a coroutine that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")
