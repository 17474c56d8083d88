"""What a server said it can do: its EHLO reply, read (RFC 5321 section 4.1.1.1).

Neighbours: `client` asks, `client_commands` and `delivery/preparation` use what is offered.
"""

from dataclasses import dataclass

from mailstack.mail.reply import Reply


@dataclass(frozen=True, slots=True)
class Extensions:
    """The service extensions we make use of; all absent after a HELO."""

    pipelining: bool = False
    """RFC 2920."""
    eight_bit: bool = False
    """8BITMIME, RFC 6152."""
    smtputf8: bool = False
    """RFC 6531."""
    dsn: bool = False
    """RFC 3461."""
    chunking: bool = False
    """BDAT, RFC 3030."""
    binary: bool = False
    """BINARYMIME, RFC 3030 section 3."""
    starttls: bool = False
    """RFC 3207."""
    size: bool = False
    """RFC 1870."""
    max_size_octets: int | None = None
    """The fixed maximum SIZE declared; None = none told."""
    auth: frozenset[str] = frozenset()
    """SASL mechanisms, upper case (RFC 4954)."""
    mail_max: int | None = None
    """LIMITS MAILMAX: transactions in one session (RFC 9422)."""
    rcpt_max: int | None = None
    """LIMITS RCPTMAX: recipients in one transaction (RFC 9422)."""


NO_EXTENSIONS = Extensions()


def read_extensions(reply: Reply) -> Extensions:
    """What the lines after the first of an EHLO reply offer; what we do not know is passed over."""
    offered: dict[str, list[str]] = {}
    for line in reply.text.split("\n")[1:]:
        # "AUTH=LOGIN" is the form of servers older than RFC 2554 that are still about
        words = line.replace("AUTH=", "AUTH ", 1).split()
        if words:
            offered.setdefault(words[0].upper(), []).extend(words[1:])
    limits = dict(word.upper().split("=", 1) for word in offered.get("LIMITS", []) if "=" in word)
    return Extensions(
        pipelining="PIPELINING" in offered,
        eight_bit="8BITMIME" in offered,
        smtputf8="SMTPUTF8" in offered,
        dsn="DSN" in offered,
        chunking="CHUNKING" in offered,
        binary="BINARYMIME" in offered and "CHUNKING" in offered,
        starttls="STARTTLS" in offered,
        size="SIZE" in offered,
        max_size_octets=_positive(offered.get("SIZE", [""])[0] if offered.get("SIZE") else ""),
        auth=frozenset(word.upper() for word in offered.get("AUTH", [])),
        mail_max=_positive(limits.get("MAILMAX", "")),
        rcpt_max=_positive(limits.get("RCPTMAX", "")),
    )


def _positive(text: str) -> int | None:
    """A number above zero; SIZE 0 means that no maximum is told (RFC 1870 section 4)."""
    if text.isascii() and text.isdigit() and len(text) <= 20:
        return int(text) or None
    return None
