"""Each dialog of `tests/dialogs/smtp` on the pure session: whole turns, and octet by octet."""

from dataclasses import replace

import pytest

from mailstack.config import Smtp
from mailstack.smtp.questions import Service
from tests.dialogs.runner import assert_said, dialogs, read_dialog
from tests.smtp.core import Core

DIALOGS = dialogs("smtp")


def settings_of(dialog):
    """Service and limits that the dialog asks for."""
    settings = dict(dialog.settings)
    service = Service(settings.pop("service", "smtp"))
    settings.setdefault("soft_errors", settings.get("hard_errors", "5"))  # over a socket, slowing down takes real time
    return service, replace(Smtp(), **{name: int(value) for name, value in settings.items()})


@pytest.mark.parametrize("size", [100_000, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path, size):
    dialog = read_dialog(path)
    service, limits = settings_of(dialog)
    core = Core(service, limits=limits)
    for turn in dialog.turns:
        core.reception.log.clear()
        said = core.send()
        for start in range(0, len(turn.sent), size):
            said += core.send(turn.sent[start : start + size])
        assert_said(said.decode().removesuffix("\r\n").split("\r\n") if said else [], turn.lines)
        if turn.events:
            assert core.reception.log == turn.events
        if turn.starts_tls:
            core.start_tls()
        assert core.is_closed == turn.closes


def test_there_are_dialogs():
    assert len(DIALOGS) >= 10
