"""One line of a POP3 client as a command (RFC 1939 section 3, RFC 2449 section 3).

`COMMANDS` is the table of what exists, in which state it is legal and what it takes. Neighbour: `session` acts on the
result.
"""

import re
from enum import Enum
from typing import NamedTuple


class State(Enum):
    """Where a session stands (RFC 1939 section 3)."""

    AUTHORIZATION = "authorization"
    TRANSACTION = "transaction"
    UPDATE = "update"
    CLOSED = "closed"


class Takes(Enum):
    """What stands behind a keyword."""

    NOTHING = "no argument"
    TEXT = "one argument"
    OPTIONAL_TEXT = "at most one argument"
    NUMBER = "a message number"
    OPTIONAL_NUMBER = "at most a message number"
    NUMBER_AND_LINES = "a message number and a count of lines"


class Rule(NamedTuple):
    """A keyword, the states in which it is legal, and its arguments."""

    verb: str
    states: frozenset[State]
    takes: Takes


class Command(NamedTuple):
    """A well-formed command; arguments that were not given are empty or None."""

    rule: Rule
    text: str = ""
    number: int | None = None
    lines: int | None = None


class CommandError(ValueError):
    """A line that is no command of ours; the message is the text behind -ERR."""


_AUTHORIZATION = frozenset({State.AUTHORIZATION})
_TRANSACTION = frozenset({State.TRANSACTION})
_BOTH = _AUTHORIZATION | _TRANSACTION
_NUMBER = re.compile(rb"\d{1,18}\Z")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

COMMANDS: dict[bytes, Rule] = {
    rule.verb.encode(): rule
    for rule in (
        Rule("CAPA", _BOTH, Takes.NOTHING),  # RFC 2449 section 5
        Rule("STLS", _AUTHORIZATION, Takes.NOTHING),  # RFC 2595 section 4
        Rule("USER", _AUTHORIZATION, Takes.TEXT),
        Rule("PASS", _AUTHORIZATION, Takes.TEXT),
        Rule("AUTH", _AUTHORIZATION, Takes.OPTIONAL_TEXT),  # RFC 5034
        Rule("UTF8", _AUTHORIZATION, Takes.NOTHING),  # RFC 6856 section 2
        Rule("LANG", _BOTH, Takes.OPTIONAL_TEXT),  # RFC 6856 section 3
        Rule("QUIT", _BOTH, Takes.NOTHING),
        Rule("STAT", _TRANSACTION, Takes.NOTHING),
        Rule("LIST", _TRANSACTION, Takes.OPTIONAL_NUMBER),
        Rule("UIDL", _TRANSACTION, Takes.OPTIONAL_NUMBER),
        Rule("RETR", _TRANSACTION, Takes.NUMBER),
        Rule("TOP", _TRANSACTION, Takes.NUMBER_AND_LINES),
        Rule("DELE", _TRANSACTION, Takes.NUMBER),
        Rule("NOOP", _TRANSACTION, Takes.NOTHING),
        Rule("RSET", _TRANSACTION, Takes.NOTHING),
    )
}


def parse_command(line: bytes) -> Command:
    """Read a line.

    Args:
        line: the octets without CRLF.

    Raises:
        CommandError: unknown, or with arguments that do not fit; the text says what does.
    """
    verb, _, argument = line.partition(b" ")
    rule = COMMANDS.get(verb) or COMMANDS.get(verb.upper())
    if rule is None:
        raise CommandError("Unknown command")
    takes = rule.takes
    if takes is Takes.NUMBER:
        return Command(rule, number=_number(argument, rule))
    if takes is Takes.TEXT or takes is Takes.OPTIONAL_TEXT:
        return Command(rule, text=_text(argument, rule))
    argument = argument.strip(b" ")
    if takes is Takes.NUMBER_AND_LINES:
        number, _, lines = argument.partition(b" ")
        return Command(rule, number=_number(number, rule), lines=_number(lines, rule))
    if not argument:
        return Command(rule)
    if takes is Takes.NOTHING:
        raise _misfit(rule)
    return Command(rule, number=_number(argument, rule))


def _number(argument: bytes, rule: Rule) -> int:
    argument = argument.strip(b" ")
    if not _NUMBER.match(argument):
        raise _misfit(rule)
    return int(argument)


def _text(argument: bytes, rule: Rule) -> str:
    """The rest of the line as it stands: a password may hold blanks, at its ends too (RFC 1939 section 7)."""
    if (not argument and rule.takes is Takes.TEXT) or _CONTROL.search(argument):
        raise _misfit(rule)
    try:
        return argument.decode("utf-8")
    except UnicodeDecodeError:
        raise CommandError("Arguments are ASCII or UTF-8") from None


def _misfit(rule: Rule) -> CommandError:
    return CommandError(f"{rule.verb} takes {rule.takes.value}")
