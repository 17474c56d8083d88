"""Each dialog of `tests/dialogs/pop3` on the pure session: whole turns, and octet by octet.

`tests/net/test_pop3_server` runs them on a transport. `# tls: off` starts without TLS.
"""

from pathlib import Path

import pytest

from tests.dialogs.runner import assert_said, dialogs, read_dialog
from tests.pop3.world import Driver, make_session

DIALOGS = dialogs("pop3")


@pytest.mark.parametrize("size", [100_000, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, size: int) -> None:
    dialog = read_dialog(path)
    driver = Driver(make_session(tls_on=dialog.settings.get("tls") != "off"))
    assert_said(driver.greeting.decode().splitlines(), dialog.turns[0].lines)
    for turn in dialog.turns[1:]:
        pieces = [turn.sent[start : start + size] for start in range(0, len(turn.sent), size)]
        assert_said(b"".join(map(driver.send, pieces)).decode().splitlines(), turn.lines)


def test_there_are_dialogs() -> None:
    assert len(DIALOGS) >= 5
