"""The composition root: the only file that knows all parts. Builds them for one config and runs them in one reactor.

Order matters at the start: sockets are bound and the certificate read while the process may still be root, then it becomes the configured user, then
it opens what that user owns, then it listens. At the end: stop listening, let running transactions end, close the store.
"""

import resource
import secrets
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from random import SystemRandom
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.logger import globalLogPublisher

from mailstack import maillog
from mailstack.config import Config
from mailstack.net.listen import Listeners, become, notify_systemd

SMTP_SERVICES = ("smtp", "submission", "submissions")
POP3_SERVICES = ("pop3", "pop3s")
