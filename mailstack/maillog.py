"""The operator's log: one function per mail event, one line each.

A line opens with the time (UTC) and the event's name; key=value pairs follow, a value with a blank, a quote or a
control character quoted. As JSON it is one object with the same fields. Passwords, content and subjects never come
here. Neighbours: everyone above `net/` calls it; `serving` sets the format; `store/timeline` keeps what users may see
of the same events.
"""

import json
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal, TextIO

from twisted.python.failure import Failure

_BARE = re.compile(r"[!#-<>-~]+\Z")  # printable ASCII without blank, double quote and equals sign
_stream: TextIO = sys.stdout
_lines: deque[str] = deque()
_flush_soon: Callable[[Callable[[], None]], object] | None = None
_watchers: list[Callable[[str, Mapping[str, object]], None]] = []


def watch(watcher: Callable[[str, Mapping[str, object]], None]) -> None:
    """Tell somebody of each line too: its event and its values. In the thread that logs."""
    _watchers.append(watcher)


def log_event(event: str, **values: object) -> None:
    """Write one line; values that are None are left out."""
    for watcher in _watchers:
        watcher(event, values)
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    is_first = not _lines
    _lines.append(_write(moment, event, {key: value for key, value in values.items() if value is not None}))
    if _flush_soon is None:
        flush()
    elif is_first:
        _flush_soon(flush)


def flush() -> None:
    """Write the lines that wait, in one system call. A log that cannot be written does not stop the mail."""
    text = ""
    while _lines:
        text += _lines.popleft()
    with suppress(OSError):  # its disk is full, or the reader of its pipe is gone
        _stream.write(text)
        _stream.flush()


def gather(flush_soon: Callable[[Callable[[], None]], object] | None) -> None:
    """Write lines a few at a time: from now on `flush_soon`, safe in any thread, is told when to call what.

    None = each line at once again.
    """
    global _flush_soon  # noqa: PLW0603 -- one log for the process
    _flush_soon = flush_soon
    flush()


def write_as(format: Literal["key=value", "json"]) -> None:
    """Choose how lines are written from now on."""
    global _write  # noqa: PLW0603 -- one log for the process
    _write = _WRITERS[format]


def _pairs(moment: str, event: str, values: Mapping[str, object]) -> str:
    return f"{moment} {event}{''.join(f' {key}={_quote(value)}' for key, value in values.items())}\n"


def _quote(value: object) -> str:
    text = str(value)
    return text if _BARE.match(text) else json.dumps(text, ensure_ascii=False)


def _json(moment: str, event: str, values: Mapping[str, object]) -> str:
    return json.dumps({"time": moment, "event": event, **values}, ensure_ascii=False, default=str) + "\n"


_WRITERS = {"key=value": _pairs, "json": _json}
_write = _pairs


def started(services: str) -> None:
    """The host listens."""
    log_event("started", listening=services)


def stopping(why: str) -> None:
    """The host stops listening and lets running transactions end."""
    log_event("stopping", why=why)


def refused(client: str, stage: str, reply: object, sender: str | None = None, recipient: str | None = None) -> None:
    """A client was told no: at mail, rcpt or content by the host, else by the protocol's rules."""
    log_event("refused", client=client, stage=stage, sender=sender, recipient=recipient, reply=reply)


def accepted(
    queue_id: str, *, client: str, sender: str, size: int, recipients: int, login: str | None, protocol: str
) -> None:
    """A message is on disk; the promise of 250 stands."""
    log_event(
        "accepted",
        id=queue_id,
        client=client,
        protocol=protocol,
        login=login,
        sender=sender or "<>",
        size=size,
        recipients=recipients,
    )


def delivered(queue_id: str, recipient: str, peer: str, reply: object) -> None:
    """A recipient was served: by a maildrop (`peer` is `local`) or by the next hop."""
    log_event("delivered", id=queue_id, recipient=recipient, peer=peer, reply=reply)


def deferred(queue_id: str, recipient: str, peer: str, reply: object, next_attempt: datetime) -> None:
    """Not now; tried again at `next_attempt`."""
    log_event("deferred", id=queue_id, recipient=recipient, peer=peer, reply=reply, next=_at(next_attempt))


def failed(queue_id: str, recipient: str, peer: str, reply: object) -> None:
    """Never; a bounce follows where one is due."""
    log_event("failed", id=queue_id, recipient=recipient, peer=peer, reply=reply)


def held(queue_id: str, recipient: str, why: str) -> None:
    """A delivery waits for a limit or an administrator."""
    log_event("held", id=queue_id, recipient=recipient, why=why)


def released(queue_id: str, recipient: str, why: str) -> None:
    """A held delivery goes on."""
    log_event("released", id=queue_id, recipient=recipient, why=why)


def bounced(queue_id: str, report_id: str, to: str) -> None:
    """A report about `queue_id` was accepted as `report_id`."""
    log_event("bounced", id=queue_id, report=report_id, to=to)


def answered(queue_id: str, answer_id: str, account: str, to: str) -> None:
    """The vacation reply of an account to the sender of `queue_id` was accepted as `answer_id`."""
    log_event("answered", id=queue_id, answer=answer_id, account=account, to=to)


def double_bounce(queue_id: str, recipient: str, reply: object) -> None:
    """A report could not be delivered; it is dropped, for a report is never answered with another."""
    log_event("double-bounce", id=queue_id, recipient=recipient, reply=reply)


def noticed(queue_id: str, subject: str, to: str) -> None:
    """A notice of ours about a limit or a freeze was accepted as `queue_id`."""
    log_event("notice", id=queue_id, about=subject, to=to)


def frozen(account: str, why: str) -> None:
    """An account's sending is held from now on, until an administrator has looked."""
    log_event("frozen", account=account, why=why)


def login(service: str, client: str, account: str, mechanism: str) -> None:
    """Somebody proved to be the owner of an account."""
    log_event("login", service=service, client=client, account=account, mechanism=mechanism)


def login_failed(service: str, client: str, username: str, why: str) -> None:
    """Somebody did not."""
    log_event("login-failed", service=service, client=client, username=username[:254], why=why)


def fetched(client: str, account: str, retrieved: int, deleted: int, octets: int) -> None:
    """A POP3 session ended after login."""
    log_event("fetched", client=client, account=account, retrieved=retrieved, deleted=deleted, octets=octets)


def trouble(what: str, why: object) -> None:
    """Something of ours does not work for now: the database, the disk, a certificate."""
    log_event("trouble", what=what, why=why)


def bug(what: str, failure: Failure | Exception) -> None:
    """An exception that should not be: one line, with where it came from; never shown to a client."""
    error = failure.value if isinstance(failure, Failure) else failure
    frames = error.__traceback__ if error else None
    where = None
    while frames is not None:
        where = f"{frames.tb_frame.f_code.co_filename.rpartition('mailstack/')[2]}:{frames.tb_lineno}"
        frames = frames.tb_next
    log_event("bug", what=what, error=repr(error), at=where)


def _at(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
