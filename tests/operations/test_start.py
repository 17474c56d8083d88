"""A whole host as an administrator starts it: by root who drops to a user, and by systemd with sockets passed."""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from email.policy import SMTP
from pathlib import Path

import pytest

from mailstack.operations.certificates import make_self_signed
from tests.host import SERVICES, Host, letter, send, wait_until
from tests.operations.test_certificates import NOW

USER = "nobody"
ALICE = "alice@example.test"
BOB = "bob@client.example.net"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who alone can become somebody else")
AS_SYSTEMD = """
import fcntl, os, sys
names, numbers = sys.argv[1], [int(number) for number in sys.argv[2].split(",")]
high = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in numbers]
for target, number in enumerate(high, 3):
    os.dup2(number, target)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(numbers)), LISTEN_FDNAMES=names)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts sockets where systemd puts them, then runs the command: sd_listen_fds(3)."""


@pytest.fixture
def host(public_folder: Path) -> Iterator[Host]:
    with Host(public_folder / "host") as host:
        yield host


def make_for_user(host: Host) -> None:
    """As an administrator does: root makes the host for a user, then domain and account."""
    host.settings["user"] = USER
    host.run([sys.executable, "-m", "mailstack"], "init", "--data", str(host.folder), "--hostname", host.hostname,
             "--user", USER)  # fmt: skip
    host.write_config()
    host.add_domain("example.test")
    host.add_account(ALICE)


def ids_of(host: Host) -> dict[str, list[int]]:
    assert host.process is not None
    lines = Path(f"/proc/{host.process.pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: [int(number) for number in fields[name].split()] for name in ("Uid", "Gid", "Groups")}


def serial_of(host: Host) -> bytes:
    """The certificate that a client is shown."""
    return ssl.get_server_certificate((host.address, host.ports["pop3s"]), timeout=10).encode()


def send_one(host: Host) -> None:
    content = letter(BOB, ALICE).as_bytes(policy=SMTP)
    with host.mx() as session:
        send(session, BOB, [ALICE], content)


@needs_root
def test_root_drops_to_the_user(host: Host) -> None:
    make_for_user(host)
    host.ports["pop3"] = next(port for port in range(900, 1023) if _is_free(port))  # what only root may bind
    host.settings["smtp"] = {"check_sender_domain": False}
    host.write_config()
    host.start()
    user = pwd.getpwnam(USER)
    ids = ids_of(host)
    assert ids["Uid"] == [user.pw_uid] * 4
    assert ids["Gid"] == [user.pw_gid] * 4
    assert 0 not in ids["Groups"]
    with socket.create_connection(("127.0.0.1", host.ports["pop3"]), timeout=10) as client:
        assert client.recv(3) == b"+OK"
    send_one(host)
    host.add_account("late@example.test")  # root's commands beside the server take nothing from it
    send_one(host)
    assert len(host.wait_for_mail(ALICE, 2)) == 2
    database = {path.name: path.stat().st_uid for path in host.folder.glob("mailstack.db*")}
    assert database == dict.fromkeys(["mailstack.db", "mailstack.db-wal", "mailstack.db-shm"], user.pw_uid)
    assert host.stop() == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@needs_root
def test_a_key_that_only_root_reads_is_loaded_and_its_reload_says_why_not(host: Host) -> None:
    make_for_user(host)
    for path in (host.folder / "tls" / "key.pem", host.folder / "tls" / "cert.pem"):
        os.chown(path, 0, 0)
    host.start()
    before = serial_of(host)
    assert host.process is not None
    host.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "trouble what=certificate" in host.log_text(), "the reload's trouble")
    assert "key.pem cannot be read (Permission denied)" in host.log_text()
    assert serial_of(host) == before
    assert host.stop() == 0


def test_sighup_takes_a_new_certificate(host: Host) -> None:
    host.init().start()
    before = serial_of(host)
    session = host.mx()
    certificate, key = make_self_signed([host.hostname], NOW)
    (host.folder / "tls" / "cert.pem").write_bytes(certificate)
    (host.folder / "tls" / "key.pem").write_bytes(key)
    assert serial_of(host) == before
    assert host.process is not None
    host.process.send_signal(signal.SIGHUP)
    wait_until(lambda: serial_of(host) == certificate, "the new certificate")
    (host.folder / "tls" / "key.pem").write_bytes(make_self_signed([host.hostname], NOW)[1])
    host.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "name the right pair" in host.log_text(), "the wrong pair told")
    assert serial_of(host) == certificate
    assert session.noop()[0] == 250, "who was connected still is"
    session.quit()
    assert host.stop() == 0


def reload(host: Host, **settings: object) -> str:
    """Write other settings, SIGHUP; the line that says what became of it."""
    host.settings.update(settings)
    host.write_config()
    before = len(host.log_text())
    assert host.process is not None
    host.process.send_signal(signal.SIGHUP)

    def told() -> list[str]:
        return [line for line in host.log_text()[before:].splitlines() if " reloaded " in line or " trouble " in line]

    return wait_until(told, "a word about the reload")[0]


def test_sighup_takes_other_settings_and_no_session_is_dropped(host: Host) -> None:
    host.init()
    host.add_domain("example.test")
    host.add_account(ALICE)
    host.start()
    with host.mx() as before, host.submission(ALICE) as logged_in:
        fetching = host.maildrop(ALICE)
        told = reload(host, smtp={"max_message_size": "1M", "check_sender_domain": False}, queue={"retry": ["9m"]})
        taken = "smtp.max_message_size, smtp.check_sender_domain, queue.retry"
        assert told.endswith(f'certificate=read changed="{taken}" needs_restart=nothing')
        with host.mx() as after:
            assert after.esmtp_features["size"] == str(1024 * 1024)
        assert before.esmtp_features["size"] == str(50 * 1024 * 1024)
        send(before, BOB, [ALICE], letter(BOB, ALICE).as_bytes(policy=SMTP))
        send(logged_in, ALICE, [ALICE], letter(ALICE, ALICE).as_bytes(policy=SMTP))
        assert fetching.stat()[0] == 0
        fetching.quit()
    assert len(host.wait_for_mail(ALICE, 2)) == 2
    assert host.stop() == 0


def test_a_reload_bounds_those_who_come_later(host: Host) -> None:
    host.init().start()
    with host.mx() as before:
        reload(host, smtp={"max_connections": 1})
        with socket.create_connection((host.address, host.ports["smtp"]), timeout=10) as client:
            assert client.recv(4) == b"421 "
        assert before.noop()[0] == 250
    assert host.stop() == 0


def test_a_reload_says_what_needs_a_restart_and_a_wrong_config_changes_nothing(host: Host) -> None:
    host.init().start()
    told = reload(host, inline_content="1K", smtp={"max_recipients": 7})
    assert told.endswith("changed=smtp.max_recipients needs_restart=inline_content")
    told = reload(host, smtp={"max_recipients": 8, "max_line": "many"})
    assert "trouble what=config" in told
    assert "max_line" in told
    told = reload(host, smtp={"max_recipients": 7})
    assert told.endswith("changed=nothing needs_restart=inline_content")
    assert host.stop() == 0


@needs_root
def test_a_user_who_may_not_write_the_data_is_told_so(host: Host) -> None:
    host.init()
    host.settings["user"] = USER
    host.write_config()
    said = host.command("serve", expect=1)
    assert f"{host.folder} cannot be written to by the user nobody" in said
    assert "chown" in said


@needs_root
def test_a_user_who_does_not_exist_is_told_so(host: Host) -> None:
    host.init()
    host.settings["user"] = "no-such-user"
    host.write_config()
    assert 'there is no user "no-such-user" here' in host.command("serve", expect=1)


def test_sockets_of_systemd_are_served_and_it_hears_of_the_host(host: Host, public_folder: Path) -> None:
    host.init()
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in SERVICES if name != "http"}
    listen = {name: [f"systemd:{name}"] for name in sockets}
    host.settings["listen"] = {**listen, "http": []}
    host.write_config()
    host.ports.update({name: one.getsockname()[1] for name, one in sockets.items()})
    numbers = [one.fileno() for one in sockets.values()]
    before = [sys.executable, "-c", AS_SYSTEMD, ":".join(sockets), ",".join(map(str, numbers))]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(public_folder / "notify"))
        manager.settimeout(20)
        host.extra_environment["NOTIFY_SOCKET"] = str(public_folder / "notify")
        host.start(before=before, pass_fds=numbers)
        assert manager.recv(100) == b"READY=1"
        for name in ("smtp", "submission"):
            with socket.create_connection(("127.0.0.1", host.ports[name]), timeout=10) as client:
                assert client.recv(4) == b"220 "
        assert host.process is not None
        host.process.send_signal(signal.SIGHUP)
        assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(200) == b"STATUS=reloaded; changed: nothing; needs a restart: nothing"
        assert manager.recv(100) == b"READY=1"
        assert host.stop() == 0
        assert manager.recv(100) == b"STOPPING=1"
    for one in sockets.values():
        one.close()


def test_a_watchdog_hears_of_the_reactor_until_it_hangs(host: Host, public_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(public_folder / "notify"))
        manager.settimeout(20)
        host.extra_environment.update(NOTIFY_SOCKET=str(public_folder / "notify"), WATCHDOG_USEC="1000000")
        host.init().start()
        assert host.process is not None
        assert [manager.recv(100) for _ in range(4)] == [b"READY=1", *[b"WATCHDOG=1"] * 3]
        host.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, host.process.pid, os.WSTOPPED)
        manager.setblocking(False)
        with suppress(BlockingIOError):
            while manager.recv(100):
                pass
        manager.settimeout(1.5)
        with pytest.raises(TimeoutError):
            manager.recv(100)
    for sent in (signal.SIGABRT, signal.SIGCONT):  # as systemd does then
        host.process.send_signal(sent)
    assert host.process.wait(60) == -signal.SIGABRT
    assert re.search(r"serving.py\", line \d+ in serve", host.log_text()), "the log tells where the reactor was"
    host.process = None


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="needs systemd-socket-activate (systemd)")
def test_socket_activation_by_systemds_own_tool(host: Host) -> None:
    host.init()
    off: dict[str, object] = {name: [] for name in SERVICES}
    host.settings["listen"] = {**off, "smtp": ["systemd:smtp"]}
    host.write_config()
    address = f"127.0.0.1:{host.ports['smtp']}"
    keep = [f"--setenv={name}" for name in ("PATH", "PYTHONPATH", "PYTHONUNBUFFERED")]

    def knock() -> None:
        wait_until(lambda: _connects(host.ports["smtp"]), "the activating socket")

    knocking = threading.Thread(target=knock)
    knocking.start()
    host.start(before=["systemd-socket-activate", f"--listen={address}", "--fdname=smtp", *keep])
    knocking.join()
    with host.mx() as session:
        assert session.noop()[0] == 250
    assert host.stop() == 0


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_the_log_of_a_host_is_json_when_the_config_says_so(host: Host) -> None:
    host.settings["log"] = {"format": "json"}
    host.init().start()
    assert host.stop() == 0
    lines = [json.loads(line) for line in host.log_text().splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines] == ["started", "stopping"]
    plain = [line for line in host.log_text().splitlines() if not line.startswith("{")]
    assert [line.partition(":")[0] for line in plain] == ["set-up", "ready"]
