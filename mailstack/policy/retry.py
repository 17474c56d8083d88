"""When to try again, when to tell the sender, when to give up: pure functions of times and one random number.

RFC 5321 section 4.5.4.1: retries go on for days and grow apart. A peer that says when to come back (greylisting
does) is taken at its word. Neighbours: `store/spool` writes the next attempt before the try; `queue/attempt` asks
here after it.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailstack.mail.reply import Reply

JITTER = 0.1
"""Each step is up to this share longer or shorter, so that mail deferred together does not come back together."""
ASKED_MARGIN = timedelta(seconds=10)
"""Later than the peer asked for: its clock counts from an earlier moment than ours."""
ASKED_MOST = timedelta(hours=4)
"""A peer that asks for longer is asked again sooner."""

_WHEN = re.compile(
    r"(?:try|retry|again|back|wait|greylist\w*|graylist\w*|defer\w*|resume|available|delay\w*)\b[^\n]{0,60}?"
    r"(?<![\w.:-])(?:(?P<clock>\d{1,2}:\d{2}:\d{2})(?![\w:])"
    r"|(?P<number>\d{1,6})\s*(?P<unit>seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h)\b)",
    re.IGNORECASE,
)
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The schedule of one host, as its config's `[queue]` has it; the last step repeats."""

    steps: tuple[timedelta, ...]
    warn_after: timedelta | None
    give_up_after: timedelta

    def step(self, attempts: int, chance: float) -> timedelta:
        """How long to wait after so many attempts (1 or more), with jitter from `chance` in 0..1."""
        base = self.steps[min(max(attempts, 1), len(self.steps)) - 1]
        return base * (1 + JITTER * (2 * chance - 1))

    def wait_after(self, attempts: int, reply: Reply | None, chance: float) -> timedelta:
        """How long to wait after an attempt: what the peer asked for, or the schedule's step."""
        asked = asked_wait(reply) if reply is not None and reply.is_transient else None
        return self.step(attempts, chance) if asked is None else asked

    def next_attempt(
        self, now: datetime, arrived_at: datetime, attempts: int, reply: Reply | None, chance: float
    ) -> datetime:
        """The moment of the next attempt: the last one comes at the end of the message's time, not hours later."""
        planned = now + self.wait_after(attempts, reply, chance)
        end = arrived_at + self.give_up_after
        return min(planned, end) if end > now else planned

    def gives_up(self, now: datetime, arrived_at: datetime) -> bool:
        """Whether a message that arrived then has had its time."""
        return now - arrived_at >= self.give_up_after

    def warns(self, now: datetime, arrived_at: datetime) -> bool:
        """Whether the sender of a message that arrived then is to be told of the delay."""
        return self.warn_after is not None and now - arrived_at >= self.warn_after


def asked_wait(reply: Reply) -> timedelta | None:
    """What a 4yz reply asks for ("try again in 5 minutes"), with a margin and a bound; None when it names no time."""
    found = _WHEN.search(reply.text[:1000])
    if found is None:
        return None
    if clock := found["clock"]:
        hours, minutes, seconds = map(int, clock.split(":"))
        asked = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    else:
        asked = int(found["number"]) * _UNITS[found["unit"][0].lower()]
    return min(asked + ASKED_MARGIN, ASKED_MOST)
