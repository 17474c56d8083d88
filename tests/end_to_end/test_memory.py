"""Memory stays bounded: 500 open sessions, and 20 mails of 50 MiB that arrive at once meanwhile."""

from pathlib import Path

from benchmarks.memory import MIB, tree_mib, with_large_mails
from benchmarks.smtp_load import open_session
from tests.host import Host

ALICE = "alice@example.test"
SESSIONS = 500
SESSIONS_MAY_TAKE_MIB = 25
MAILS_MAY_TAKE_MIB = 50
"""For a GiB that comes in: two and a half MiB a connection, four times what was measured."""


def test_memory_is_bounded(tmp_path: Path) -> None:
    settings = {
        "smtp": {
            "max_connections_per_address": SESSIONS + 50,
            "max_message_size": 51 * MIB,
            "check_sender_domain": False,
        }
    }
    with Host(tmp_path / "host", settings=settings).init() as host:
        host.add_domain("example.test")
        host.add_account(ALICE)
        host.start()
        assert host.process is not None
        root, address = host.process.pid, (host.address, host.ports["smtp"])
        before = tree_mib(root)
        sessions = [open_session(address) for _ in range(SESSIONS)]
        with_sessions = tree_mib(root)
        highest = with_large_mails(root, address, ALICE, connections=20, size=50 * MIB)
        assert with_sessions - before < SESSIONS_MAY_TAKE_MIB
        assert highest - with_sessions < MAILS_MAY_TAKE_MIB
        for session in sessions:
            session.close()
        assert host.maildrop(ALICE).stat()[0] == 20
        assert host.stop() == 0
