"""The words of our notices about sending limits and frozen accounts, and the message they make: pure functions.

Neighbours: `notices` sends them.
"""

import textwrap
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from mailstack.mail.address import Address
from mailstack.policy.limits import FULL_PERCENT, Over, Rule, Used, percent_used

LINE_MOST = 76
HELD = "Mail beyond the limit is accepted and held; it leaves by itself, oldest first, as the limit frees."
REFUSED = 'Mail beyond the limit is refused for now ("450 4.7.1"); mail programs keep it and try again.'
MEND = (
    "Wait until the limit frees, or ask your administrator for a higher one. If you did not send this mail, change "
    "your password at once: somebody else may know it."
)
MEND_FREEZE = (
    "Find out whether the owner sent this mail. If not, change the password, and drop what is held:\n"
    "    mailstack account unfreeze {account} --drop\n"
    "If so, let it go; it leaves as the limits allow:\n"
    "    mailstack account unfreeze {account}"
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of ours: who is told, what about, in which words."""

    to: tuple[Address, ...]
    subject: str
    text: str


def limit_notice(
    rule: Rule, used: Used, percent: int, frees_at: datetime | None, account: Address, postmaster: Address
) -> Notice:
    """That a limit is nearly (`percent` 80) or wholly used up, by an account or by its domain together."""
    is_full = percent >= FULL_PERCENT
    who = f"The domain {rule.scope}, last by {account}," if rule.is_shared else f"The account {account}"
    lines = [
        f"{who} has used {'all' if is_full else f'{percent_used(rule, used)} %'} of a sending limit.",
        "",
        f"Limit:      {rule}",
        f"Used:       {_counts(rule, used)}",
    ]
    when = frees_at.strftime("%-d %B %Y, %H:%M:%S UTC") if frees_at else "never"
    lines.append(f"{'Frees at:  ' if is_full else 'Frees from:'} {when}")
    lines += ["", "What happens now", HELD if rule.over is Over.HOLD else REFUSED, "", "What you can do", MEND]
    about = "A sending limit is used up" if is_full else f"{percent} % of a sending limit is used"
    return Notice((account, postmaster), f"{about}: {rule}", "\n".join(lines) + "\n")


def _counts(rule: Rule, used: Used) -> str:
    pairs = (
        (rule.messages, used.messages, "messages"),
        (rule.recipients, used.recipients, "recipients"),
        (rule.first_time, used.first_time, "first-time recipients"),
    )
    return ", ".join(f"{have} of {cap} {what}" for cap, have, what in pairs if cap is not None)


def freeze_notice(account: Address, why: str, postmaster: Address) -> Notice:
    """That an account was frozen, to its owner and the postmaster."""
    lines = [
        f"The account {account} is frozen: {why}.",
        "",
        "What happens now",
        "What it sends is accepted and held until an administrator has looked. It receives and fetches as before.",
        "",
        "What an administrator can do",
        MEND_FREEZE.format(account=account),
    ]
    return Notice((postmaster, account), f"{account} is frozen", "\n".join(lines) + "\n")


def notice_message(notice: Notice, hostname: str, now: datetime, token: str) -> bytes:
    """The message, CRLF line ends; Auto-Submitted, so that no program answers it (RFC 3834 section 5)."""
    text = [wrapped for line in notice.text.splitlines() for wrapped in _wrap(line)]
    lines = [
        f"From: Mail host <postmaster@{hostname}>",
        f"To: {', '.join(map(str, notice.to))}",
        f"Subject: {notice.subject}",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{token}@{hostname}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Transfer-Encoding: {'7bit' if ''.join(text).isascii() else '8bit'}",
        "",
        *text,
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _wrap(line: str) -> list[str]:
    """A line as people read it; what is indented is to be copied, and stays whole."""
    if not line or line.startswith(" "):
        return [line]
    return textwrap.wrap(line, LINE_MOST, break_long_words=False, break_on_hyphens=False)
