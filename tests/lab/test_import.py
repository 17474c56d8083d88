"""A real Dovecot's Maildir is imported: POP3 clients see the same UIDLs, order and octets as before."""

import poplib
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.host import Host
from tests.lab.needs import needs, needs_root
from tests.lab.peers import Dovecot, peer_folder

pytestmark = [*needs("dovecot"), needs_root("starts Dovecot")]

USER, ANN = "ann", "ann@example.test"
PASSWORD = "correct-horse"
DEFAULT = "%08Xu%08Xv"
_numbers = count(1)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that serves while mail is imported."""
    host = Host(tmp_path_factory.mktemp("import") / "host").init()
    host.add_domain("example.test")
    with host.start():
        yield host


def listing(session: poplib.POP3) -> dict[str, bytes]:
    """Unique-id and octets of each message, in the order of their numbers."""
    shown = {}
    for line in session.uidl()[1]:
        number, _, unique_id = line.decode().partition(" ")
        shown[unique_id] = b"\r\n".join(session.retr(int(number))[1])
    session.quit()
    return shown


def from_dovecot(dovecot: Dovecot) -> dict[str, bytes]:
    session = poplib.POP3("127.0.0.1", dovecot.ports["pop3"], timeout=60)
    session.user(USER)
    session.pass_(PASSWORD)
    return listing(session)


def fill(dovecot: Dovecot, mails: int) -> None:
    """Mails of different sizes, some of them read and some larger than what rides in the database."""
    dovecot.fill(USER, b"Subject: placeholder\r\n\r\n", mails)
    for number, path in enumerate(sorted((dovecot.folder / "mail" / USER / "new").iterdir())):
        path.write_bytes(b"Subject: mail %d\n\n.dots\n..\nbody\n" % number + b"line\n" * (number**4))


@pytest.mark.parametrize(
    ("settings", "uidl_format"),
    [
        ("", DEFAULT),
        ("pop3_uidl_format = %v.%u", "%v.%u"),
        ("pop3_uidl_format = %g", "%g"),
        ("pop3_uidl_format = %f", "%f"),
        ("pop3_uidl_format = UID%u-%v\npop3_save_uidl = yes", DEFAULT),
    ],
)
def test_unique_ids_of_dovecot_are_kept(host: Host, settings: str, uidl_format: str) -> None:
    account = f"ann{next(_numbers)}@example.test"
    host.add_account(account)
    with peer_folder("import") as folder:
        dovecot = Dovecot(folder, PASSWORD, settings)
        try:
            dovecot.start()
            fill(dovecot, 15)
            assert len(from_dovecot(dovecot)) == 15
            maildir = dovecot.folder / "mail" / USER
            _expunge(dovecot, 3)
            command = ("import", "maildir", str(maildir), "--account", account, "--uidl-format", uidl_format)
            before = from_dovecot(dovecot)
            assert host.command(*command).startswith("imported: 12 messages")
            after = listing(host.maildrop(account))
            assert list(after) == list(before)
            assert after == before
            _deliver(maildir, "1800000000.late.mx", b"Subject: late\n\nbody\n")
            before = from_dovecot(dovecot)
            assert "there already: 12" in host.command(*command)
            assert listing(host.maildrop(account)) == before, "what came since is fetched by the second run"
        finally:
            dovecot.stop()


def _expunge(dovecot: Dovecot, mails: int) -> None:
    session = poplib.POP3("127.0.0.1", dovecot.ports["pop3"], timeout=60)
    session.user(USER)
    session.pass_(PASSWORD)
    for number in range(2, 2 + mails):
        session.dele(number)
    session.quit()


def _deliver(maildir: Path, name: str, content: bytes) -> None:
    (maildir / "new" / name).write_bytes(content)
    subprocess.run(["chown", "-R", "nobody:nogroup", str(maildir)], check=True)


def test_mail_that_dovecot_has_not_numbered_yet_comes_behind(host: Host) -> None:
    host.add_account(ANN)
    with peer_folder("import") as folder:
        dovecot = Dovecot(folder, PASSWORD)
        try:
            dovecot.start()
            fill(dovecot, 3)
            before = from_dovecot(dovecot)
            maildir = dovecot.folder / "mail" / USER
            _deliver(maildir, "1500000000.unseen.mx", b"Subject: unseen\n\nbody\n")
            command = ("import", "maildir", str(maildir), "--account", ANN)
            assert host.command(*command).startswith("imported: 4 messages")
            after = listing(host.maildrop(ANN))
            assert list(after)[:3] == list(before)
            assert list(after.values())[3] == b"Subject: unseen\r\n\r\nbody"
            assert len(from_dovecot(dovecot)) == 4, "now it has a number"
            assert "there already: 4" in host.command(*command)
            assert listing(host.maildrop(ANN)) == after
        finally:
            dovecot.stop()
