"""What became of a message: its timeline, for those who may see it.

Who sent a message sees all of it; who received it sees their own part, for the other recipients may be blind copies. A
domain's administrator sees what the domain's accounts see, an account's owner what is theirs. Neighbours:
`store/timeline` finds and tells.
"""

from typing import Any

from sqlalchemy import Connection

from mailstack.management.actor import Actor
from mailstack.store import timeline
from mailstack.store.timeline import TRACE_MOST, Reader

__all__ = ["TRACE_MOST", "trace"]


def trace(connection: Connection, actor: Actor, query: str, most: int = TRACE_MOST) -> list[dict[str, Any]]:
    """The timeline of each message that a queue ID, Message-ID, address or subject names, newest first."""
    if actor.all_domains:
        return timeline.trace(connection, query, most)
    found = timeline.trace(connection, query, most, Reader(actor.domains, actor.account))
    return [seen for seen in (_seen_by(actor, one) for one in found) if seen]


def _seen_by(actor: Actor, message: dict[str, Any]) -> dict[str, Any] | None:
    """The part of a message that is the actor's to see; None when nothing is."""
    if _is_theirs(actor, message["reverse_path"]):
        return message
    recipients = [one for one in message["recipients"] if _is_theirs(actor, one["recipient"])]
    events = [one for one in message["events"] if not one["recipient"] or _is_theirs(actor, one["recipient"])]
    if not recipients and not any(one["recipient"] for one in events):
        return None
    return {**message, "recipients": recipients, "events": events}


def _is_theirs(actor: Actor, address: str) -> bool:
    return actor.may_manage(address.rpartition("@")[2]) or actor.account == address.lower()
