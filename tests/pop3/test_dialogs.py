"""Each dialog of `tests/dialogs/pop3` on the pure session; `tests/net/test_pop3_server` runs them on a transport.

A line `C: …` is said by the client, `S: …` by the server; `*` in a server's line stands for anything. Client lines
without a server's between them leave in one piece. `# tls: off` starts without TLS.
"""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.pop3.world import Driver, make_session

FOLDER = Path(__file__).parent.parent / "dialogs" / "pop3"
DIALOGS = sorted(FOLDER.glob("*.dialog"))


def read_dialog(path: Path) -> tuple[bool, list[tuple[bytes, list[str]]]]:
    """Whether it starts with TLS, and its turns: what the client sends, the lines that it then gets."""
    turns: list[tuple[bytes, list[str]]] = [(b"", [])]
    tls_on = True
    for line in path.read_text().splitlines():
        if line.startswith("C: "):
            if turns[-1][1]:
                turns.append((b"", []))
            turns[-1] = (turns[-1][0] + line[3:].encode() + b"\r\n", [])
        elif line.startswith("S: "):
            turns[-1][1].append(line[3:])
        elif line == "# tls: off":
            tls_on = False
    return tls_on, turns


def assert_said(said: list[str], expected: list[str]) -> None:
    assert len(said) == len(expected), said
    for line, pattern in zip(said, expected, strict=True):
        assert fnmatchcase(line, pattern.replace("[", "[[]")), (line, pattern)


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path) -> None:
    tls_on, turns = read_dialog(path)
    driver = Driver(make_session(tls_on=tls_on))
    assert_said(driver.greeting.decode().splitlines(), turns[0][1])
    for sent, expected in turns[1:]:
        assert_said(driver.send(sent).decode().splitlines(), expected)


def test_there_are_dialogs() -> None:
    assert len(DIALOGS) >= 5
