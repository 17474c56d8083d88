"""What became of a message: its timeline, for those who may see it.

A domain's administrator sees mail from or to their domains. Neighbours: `store/timeline` finds and tells.
"""

from typing import Any

from sqlalchemy import Connection

from mailstack.management.actor import Actor
from mailstack.store import timeline


def trace(connection: Connection, actor: Actor, query: str) -> list[dict[str, Any]]:
    """The timeline of each message that a queue ID, Message-ID or address names, newest first."""
    return [message for message in timeline.trace(connection, query) if actor.all_domains or _touches(message, actor)]


def _touches(message: dict[str, Any], actor: Actor) -> bool:
    addresses = [message["reverse_path"], *(one["recipient"] for one in message["recipients"])]
    return any(address.rpartition("@")[2] in actor.domains for address in addresses)
