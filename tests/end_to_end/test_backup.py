"""A server that takes and gives mail is backed up; what is restored elsewhere is whole."""

import poplib
import smtplib
import threading
from pathlib import Path

from tests.host import PASSWORD, Host, letter, wait_until

ANN = "ann@example.test"


def deliver(host: Host, number: int) -> None:
    with smtplib.SMTP(host.address, host.ports["smtp"], timeout=60) as client:
        text = "a line of a letter\n" * (8000 if number % 2 else 1)
        client.send_message(letter("bob@example.net", ANN, subject=f"{number}", text=text), "bob@example.net", [ANN])


def fetch(host: Host, *, remove: int = 0) -> dict[str, bytes]:
    """All mail of the maildrop by unique-id; the first `remove` are deleted."""
    client = poplib.POP3_SSL(host.address, host.ports["pop3s"], timeout=60)
    client.user(ANN)
    client.pass_(PASSWORD)
    listed = [line.decode().split() for line in client.uidl()[1]]
    mails = {unique: b"\r\n".join(client.retr(int(number))[1]) for number, unique in listed}
    for number, _ in listed[:remove]:
        client.dele(int(number))
    client.quit()
    return mails


def test_a_running_host_is_backed_up_whole(tmp_path: Path) -> None:
    settings = {"smtp": {"check_sender_domain": False}}
    host = Host(tmp_path / "old", settings=settings).init()
    host.add_domain("example.test")
    host.add_account(ANN)
    backups = [tmp_path / "0.backup", tmp_path / "1.backup"]
    with host.start():
        for number in range(10):
            deliver(host, number)
        before = fetch(host)
        load = threading.Thread(target=lambda: [(deliver(host, n), fetch(host, remove=2)) for n in range(10, 16)])
        load.start()
        for backup in backups:
            host.command("backup", str(backup))
        load.join()
    assert len(before) == 10
    for number, backup in enumerate(backups):
        twin = Host(tmp_path / f"new{number}", settings=settings)
        if number:
            host.command("restore", str(backup), "--data", str(twin.folder))
            twin.ports = host.ports  # which its config names: all of it comes from the backup
        else:
            twin.init().command("restore", str(backup))
        with twin.start():
            restored = fetch(twin)
        assert restored
        assert all(before[unique] == mail for unique, mail in restored.items() if unique in before)


def test_an_account_that_was_removed_comes_back_into_the_running_host(tmp_path: Path) -> None:
    host = Host(tmp_path / "host", settings={"smtp": {"check_sender_domain": False}}).init()
    host.add_domain("example.test")
    host.add_account(ANN)
    with host.start():
        for number in range(3):
            deliver(host, number)
        before = fetch(host)
        host.command("backup", str(tmp_path / "a"))
        host.command("account", "remove", ANN)
        wait_until(lambda: is_refused(host), "the log-in of an account that is gone is refused")
        host.command("restore", str(tmp_path / "a"), "--account", ANN)
        wait_until(lambda: not is_refused(host), "the account may log in again")
        deliver(host, 3)
        after = fetch(host)
    assert {unique: mail for unique, mail in after.items() if unique in before} == before
    assert len(after) == 4


def is_refused(host: Host) -> bool:
    try:
        fetch(host)
    except poplib.error_proto:
        return True
    return False
