"""A reply of an SMTP server as a value: ours on its way out, or a peer's on its way to the log, timeline and bounce.

Neighbours: `smtp/replies` is the catalogue of those we give; `outcome` carries a peer's.
"""

from dataclasses import dataclass
from functools import cached_property

from mailstack.mail.status import EnhancedStatus, Status


@dataclass(frozen=True)
class Reply:
    """Code, enhanced status and text (several lines joined by a newline; no CR, no status within)."""

    code: int
    status: EnhancedStatus | None
    text: str

    @cached_property
    def octets(self) -> bytes:
        """The reply as it goes over the wire, each line with code and status (RFC 5321 section 4.2.1, RFC 2034).

        Always ASCII, for a text that quotes the client may go to one without SMTPUTF8 (RFC 6531 section 3.7.4).
        """
        lines = self.text.split("\n")
        status = f"{self.status} " if self.status else ""
        out = [f"{self.code}-{status}{line}\r\n" for line in lines[:-1]]
        out.append(f"{self.code} {status}{lines[-1]}\r\n")
        return "".join(out).encode("ascii", "backslashreplace")

    @property
    def is_positive(self) -> bool:
        """2yz and 3yz."""
        return self.code < 400

    @property
    def is_transient(self) -> bool:
        """4yz: the same may work later."""
        return 400 <= self.code < 500

    @property
    def effective_status(self) -> EnhancedStatus:
        """The status given, or the one its code stands for (RFC 3463 section 3.1 `x.0.0`)."""
        return self.status or EnhancedStatus(self.code // 100 if self.code >= 400 else 2, 0, 0)

    def __str__(self) -> str:
        status = f"{self.status} " if self.status else ""
        return f"{self.code} {status}" + self.text.replace("\n", " ")


def reply(code: int, status: Status, text: str) -> Reply:
    """A reply of ours; the class of the status comes from the code."""
    return Reply(code, EnhancedStatus.of(code // 100 if code >= 400 else 2, status), text)
