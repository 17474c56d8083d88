"""The queue as an administrator sees and moves it: list, retry, hold, release, drop.

An act takes a bounded batch in each transaction, so that a queue of a million never holds the host up. A domain's
administrator sees and moves what their domains send. Neighbours: `store/open_mail` does it; `queue/runner` notices.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Connection

from mailstack.management.actor import Actor, Refused, record
from mailstack.management.acts import now_micros
from mailstack.store import open_mail
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.open_mail import Backlog, OpenDelivery, Selection

__all__ = ["Act", "Backlog", "DestinationState", "Selection", "act", "backlogs", "count", "find", "pages"]


EVERYTHING = Selection()


class Act(StrEnum):
    """What can be done with deliveries that wait or are held."""

    RETRY = "retry"
    HOLD = "hold"
    RELEASE = "release"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class DestinationState:
    """How the running queue deals with a destination now."""

    running: int
    """Attempts under way."""
    allowed: int
    """How many may be at once, as its answers of late allow."""
    rests_for: timedelta | None
    """How long it is left alone after a failure of the whole destination; None = it is not."""
    why: str
    """The answer that made it rest, or empty."""


def find(
    connection: Connection, actor: Actor, selection: Selection, *, after: int = 0, limit: int = open_mail.BATCH
) -> list[dict[str, Any]]:
    """Open deliveries beyond the number `after`, as `queue list --json` tells them but for `number`, an int."""
    rows = open_mail.list_open(connection, _visible(actor, selection), after=after, most=limit)
    return [_told(row) for row in rows]


def pages(database: Database, actor: Actor, selection: Selection) -> Iterator[list[dict[str, Any]]]:
    """All open deliveries, a batch at a time."""
    after = 0
    while True:
        rows = database.read_now(partial(find, actor=actor, selection=selection, after=after))
        yield rows
        if len(rows) < open_mail.BATCH:
            return
        after = rows[-1]["number"]


def count(connection: Connection, actor: Actor, selection: Selection = EVERYTHING) -> dict[str, int]:
    """How many of the actor's open deliveries are `waiting` and `held`."""
    return open_mail.count_open(connection, _visible(actor, selection))


def backlogs(connection: Connection, actor: Actor, most: int = 50) -> list[Backlog]:
    """The destinations with most of the actor's mail that is open, the longest backlog first."""
    return open_mail.backlogs(connection, _visible(actor, Selection()), most)


def act(
    database: Database,
    actor: Actor,
    what: Act,
    selection: Selection,
    contents: ContentStore,
    progress: Callable[[int], None] = lambda _done: None,
) -> int:
    """Do one thing with all selected deliveries it can be done with.

    Args:
        database: open; called from a thread that may block.
        actor: who.
        what: what.
        selection: which.
        contents: where the contents of dropped messages lie in files.
        progress: told how many are done, after each batch.

    Returns:
        How many were changed.

    Raises:
        Refused: the selection names something that neither waits nor is held, or nothing of it allows the act.
    """
    found, done, after = 0, 0, 0
    is_named = bool(selection.numbers or selection.queue_ids)
    while True:
        step = database.write_now(partial(_act_once, actor, what, selection, after))
        contents.remove_files_now(step.files)
        found += step.found
        done += step.done
        progress(done)
        if step.last is None:
            break
        after = step.last
    if is_named and not found:
        raise Refused("nothing of that name waits or is held; see `queue list`, or `trace` for what has ended")
    if is_named and not done:
        raise Refused(_NOTHING_DONE[what])
    return done


_NOTHING_DONE = {
    Act.RETRY: "it is held or being tried right now; release what is held with `queue release`",
    Act.HOLD: "it is held already; let it go with `queue release`",
    Act.RELEASE: "it is not held; try it at once with `queue retry`",
    Act.DROP: "nothing was dropped; see `queue list`",
}


@dataclass(frozen=True, slots=True)
class _Step:
    """One batch: how many were found and changed, files to remove, where to go on (None = that was all)."""

    found: int
    done: int
    files: list[str]
    last: int | None


def _act_once(actor: Actor, what: Act, selection: Selection, after: int, connection: Connection) -> _Step:
    now = now_micros()
    mine = open_mail.find_open(connection, _visible(actor, selection), now=now, after=after)
    files: list[str] = []
    changed = _apply(connection, actor, what, mine, now, files)
    if changed:
        subject = mine[0].queue_id if len({one.queue_id for one in mine}) == 1 else f"{changed} deliveries"
        record(connection, actor, f"queue.{what}", subject, " ".join(one.recipient for one in mine[:10]))
    return _Step(len(mine), changed, files, mine[-1].number if len(mine) == open_mail.BATCH else None)


def _apply(
    connection: Connection, actor: Actor, what: Act, mine: list[OpenDelivery], now: int, files: list[str]
) -> int:
    if what is Act.RETRY:
        return open_mail.retry(connection, mine, now)
    if what is Act.HOLD:
        return open_mail.hold(connection, mine, now, actor.name)
    if what is Act.RELEASE:
        return open_mail.release(connection, mine, now, actor.name)
    files += open_mail.drop(connection, mine, now, actor.name)
    return len(mine)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "id": str(row["id"]), "number": int(row["id"])}


def _visible(actor: Actor, selection: Selection) -> Selection:
    """The part of a selection that is the actor's to see and move: what their domains send."""
    return selection if actor.all_domains else replace(selection, sent_by_domains=actor.domains)
