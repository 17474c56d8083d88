"""Reads `.dialog` files and holds a server to them.

    # key: value      settings of the dialog, before its first turn
    C: text           said by the client; CRLF added, \\xHH, \\r, \\n, \\\\ escape; \\ at the end leaves CRLF out
    S: pattern        a line of the server; * stands for anything
    E: text           what the host was asked or given since the last E: or S: line
    T:                the TLS handshake, begun by the client
    X:                the server closes

Lines of the client without others between them leave in one piece.
"""

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))")
_ESCAPED = {"r": "\r", "n": "\n", "\\": "\\"}


@dataclass
class Turn:
    """What the client sends, and what follows."""

    sent: bytes = b""
    lines: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    starts_tls: bool = False
    closes: bool = False

    @property
    def is_answered(self) -> bool:
        return bool(self.lines or self.events or self.starts_tls or self.closes)


@dataclass
class Dialog:
    """A whole file; its first turn is the greeting."""

    settings: dict[str, str]
    turns: list[Turn]


def dialogs(protocol: str) -> list[Path]:
    return sorted((Path(__file__).parent / protocol).glob("*.dialog"))


def read_dialog(path: Path) -> Dialog:
    dialog = Dialog({}, [Turn()])
    for line in path.read_text("utf-8").splitlines():
        mark, text = line[:2], line[3:]
        turn = dialog.turns[-1]
        if mark == "C:":
            if turn.is_answered:
                turn = Turn()
                dialog.turns.append(turn)
            turn.sent += _unescape(text)
        elif mark == "S:":
            turn.lines.append(text)
        elif mark == "E:":
            turn.events.append(text)
        elif mark == "T:":
            turn.starts_tls = True
        elif mark == "X:":
            turn.closes = True
        elif found := re.match(r"# ([\w-]+): (\S+)\Z", line):
            dialog.settings[found[1]] = found[2]
        else:
            assert not line or line.startswith("#"), line
    return dialog


def assert_said(said: list[str], expected: list[str]) -> None:
    assert len(said) == len(expected), said
    for line, pattern in zip(said, expected, strict=True):
        assert fnmatchcase(line, pattern.replace("[", "[[]")), (line, pattern)


def _unescape(text: str) -> bytes:
    end = "\r\n"
    if text.endswith("\\") and not text.endswith("\\\\"):
        text, end = text[:-1], ""
    octets = bytearray()
    last = 0
    for found in _ESCAPE.finditer(text):
        octets += text[last : found.start()].encode()
        octets += bytes([int(found[1], 16)]) if found[1] else _ESCAPED[found[2]].encode()
        last = found.end()
    return bytes(octets) + text[last:].encode() + end.encode()
