"""The part of a report that people read: who was not reached, what the other side said, what it means, what to do.

Neighbours: `bounce` builds the report around it. The meanings follow the subject and detail of the enhanced status (RFC
3463); a code not listed is explained by its subject alone.
"""

import textwrap
from enum import StrEnum

from mailstack.mail.status import EnhancedStatus


class Action(StrEnum):
    """The Action field (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


SUBJECTS = {
    Action.FAILED: "Undelivered mail",
    Action.DELAYED: "Delayed mail",
    Action.DELIVERED: "Delivered mail",
    Action.RELAYED: "Relayed mail",
    Action.EXPANDED: "Delivered mail",
}
OPENINGS = {
    Action.FAILED: "I am sorry: your message could not be delivered to {whom}. It will not be tried again.",
    Action.DELAYED: "Your message could not yet be delivered to {whom}. You need not send it again: it will be tried "
    "until {until}, and if it still fails then, you will be told.",
    Action.DELIVERED: "As you asked to be told: your message was delivered to {whom}.",
    Action.RELAYED: "As you asked to be told: your message was handed on for {whom}, to a host that sends no "
    "reports of success. You may not hear more about it, even when it arrives.",
    Action.EXPANDED: "As you asked to be told: your message was delivered to {whom} and sent on from there.",
}
_CHECK = "Check the address for typing mistakes, or ask the recipient for the right one in another way."
_SMALLER = "Send less at once, or share large files by a link."
_LATER = "Send the message again later, or reach the recipient in another way."
_ADMIN = "Show this report to your mail administrator."
_MEANINGS = {
    (1, 1): ("There is no mailbox of that name.", _CHECK),
    (1, 2): ("The domain does not exist or takes no mail.", _CHECK),
    (1, 3): ("The other side does not understand the address.", _CHECK),
    (1, 6): ("The mailbox has moved.", "Ask the recipient for the new address."),
    (1, 7): ("The other side does not accept your own address.", _ADMIN),
    (1, 8): ("The other side does not accept your own domain.", _ADMIN),
    (1, 10): ("The domain says that it takes no mail at all.", _CHECK),
    (2, 1): ("The mailbox is not in use.", "Reach the recipient in another way."),
    (2, 2): (
        "The recipient's mailbox is full.",
        "Tell the recipient in another way, and send the message again later.",
    ),
    (2, 3): ("The message is larger than that mailbox accepts.", _SMALLER),
    (3, 4): ("The message is larger than the other side accepts.", _SMALLER),
    (4, 1): ("The other side's mail server did not answer.", _LATER),
    (4, 2): ("The connection to the other side's mail server broke.", _LATER),
    (4, 3): ("The mail server of the domain could not be looked up.", _LATER),
    (4, 6): ("The message went round in a circle.", _ADMIN),
    (4, 7): ("It was tried again and again, and the time for it is over.", _LATER),
    (6, 3): (
        "The other side cannot take the message in its form.",
        "Send it as plain text, or without the attachment.",
    ),
    (6, 7): ("The other side does not support addresses with such characters.", "Use an address in plain letters."),
    (7, 1): ("The other side refuses the message by its rules.", _ADMIN),
}
_BY_SUBJECT = {
    1: ("Something is wrong with an address.", _CHECK),
    2: ("The recipient's mailbox cannot take it.", "Reach the recipient in another way."),
    3: ("The other side's mail system cannot take it.", _LATER),
    4: ("The other side could not be reached.", _LATER),
    5: ("The mail systems did not understand each other.", _ADMIN),
    6: ("The other side does not take this content.", "Send it as plain text, or without the attachment."),
    7: ("The other side refuses the message by its rules.", _ADMIN),
}
_OTHERWISE = ("The other side gave no reason that is known here; its own words are above.", _ADMIN)


def clean(text: str, most: int) -> str:
    """A peer's words in one line of at most so many characters: nothing in it is control, folding or hidden."""
    text = text[: 4 * most]
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())[:most].rstrip()


def explain(address: str, action: Action, status: EnhancedStatus, peer: str, words: str) -> list[str]:
    """The lines about one recipient; `words` and `peer` come from outside and are cleaned here."""
    lines = [f"  {clean(address, 320)}"]
    said = clean(words, 600)
    who = clean(peer, 200)
    if said:
        speaker = f"The answer of {who}:" if "[" in who else "What happened:"
        lines += _wrap(f"{speaker} {said}")
    if action in (Action.FAILED, Action.DELAYED):
        meaning, mend = _MEANINGS.get((status.subject, status.detail)) or _BY_SUBJECT.get(status.subject, _OTHERWISE)
        lines += _wrap(f"What it means: {meaning}")
        if action is Action.FAILED:
            lines += _wrap(f"What you can do: {mend}")
    return [*lines, ""]


def opening(hostname: str, action: Action, count: int, until: str) -> list[str]:
    """The greeting and what happened in one sentence."""
    whom = "this recipient" if count == 1 else f"these {count} recipients"
    text = OPENINGS[action].format(whom=whom, until=until or "further notice")
    return [f"This is the mail system at {hostname}.", "", *textwrap.wrap(text, 76), ""]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, 76, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False)
