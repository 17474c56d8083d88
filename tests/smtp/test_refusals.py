"""What the protocol core refuses by itself is told to the host, for its log; the host's own refusals are not."""

import pytest

from mailstack.smtp.questions import Service
from tests.smtp.core import Core

HELLO = b"EHLO client.test\r\n"
ENVELOPE = HELLO + b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.test>\r\n"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (HELLO + b"FROB\r\n", [(None, 500)]),
        (b"MAIL FROM:<ann@example.org>\r\n", [(None, 503)]),
        (ENVELOPE + b"DATA\r\na bare\nline end\r\n.\r\n", [("ann@example.org", 554)]),
        (ENVELOPE + b"BDAT 8 LAST\r\na\nb\r\nc\r\n", [("ann@example.org", 554)]),
        (ENVELOPE + b"DATA\r\nsound\r\n.\r\n", []),
        (HELLO + b"MAIL FROM:<refused@example.org>\r\n", []),
    ],
)
def test_refusals_of_the_core_are_told_with_the_sender(said: bytes, told: list[tuple[str | None, int]]) -> None:
    core = Core()
    core.send()
    core.send(said)
    assert core.reception.refusals == told


def test_a_login_without_tls_is_told() -> None:
    core = Core(Service.SUBMISSION)
    core.send()
    core.send(HELLO + b"AUTH PLAIN AGEAYg==\r\n")
    assert core.reception.refusals == [(None, 538)]
