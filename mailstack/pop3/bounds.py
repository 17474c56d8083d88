"""What one POP3 session may cost. Neighbour: `session` keeps to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one session may cost."""

    line_octets: int = 255
    """A command with its CRLF (RFC 2449 section 4)."""
    sasl_octets: int = 12288
    """A line within AUTH (RFC 5034 section 4)."""
    endless_octets: int = 64 * 1024
    """A line that has not ended after so many octets ends the session."""
    errors: int = 20
    """So many lines in a row that are no command, or out of place, close the session."""
    failed_logins: int = 5
    output_octets: int = 256 * 1024
    """`run` pauses once so much waits to be written."""


BOUNDS = Bounds()
"""The defaults."""
