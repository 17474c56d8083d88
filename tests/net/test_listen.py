"""Sockets: bound by us, or passed by systemd under their names; and our word to systemd."""

import errno
import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import Clock, deferLater
from twisted.logger import globalLogPublisher

from mailstack.config import Config
from mailstack.net import listen, systemd
from mailstack.net.listen import ListenError, Listeners
from mailstack.operations import process
from tests.host import free_ports


class Passed:
    """What a process started by systemd finds: descriptors from a number on, and the variables."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str, listens: bool = True) -> None:
        first = 200
        self.ports = []
        for number in range(first, first + len(names)):
            with socket.socket() as made:
                made.bind(("127.0.0.1", 0))
                if listens:
                    made.listen()
                self.ports.append(made.getsockname()[1])
                os.dup2(made.fileno(), number)
        monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", first)
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", str(len(names)))
        monkeypatch.setenv("LISTEN_FDNAMES", ":".join(names))


def test_a_name_may_have_several_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Passed(monkeypatch, "smtp", "pop3", "smtp")
    passed = systemd.take_sockets(os.environ)
    ports = {name: [one.getsockname()[1] for one in sockets] for name, sockets in passed.items()}
    assert ports == {"smtp": [given.ports[0], given.ports[2]], "pop3": [given.ports[1]]}
    assert not any(variable.startswith("LISTEN_") for variable in os.environ)
    assert not any(one.get_inheritable() for sockets in passed.values() for one in sockets)
    for sockets in passed.values():
        for one in sockets:
            one.close()


def test_sockets_of_another_process_are_left_alone() -> None:
    assert systemd.take_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "smtp"}) == {}


def test_a_name_nobody_passed_is_told() -> None:
    with pytest.raises(ListenError, match="no socket named 'smtp' came from systemd"):
        Listeners().bind("smtp", ["systemd:smtp"])


def test_a_socket_that_does_not_listen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Passed(monkeypatch, "smtp", listens=False)
    with pytest.raises(ListenError, match="no ListenStream="):
        Listeners().bind("smtp", ["systemd:smtp"])


def test_a_socket_nobody_serves_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Passed(monkeypatch, "smtp", "pop3")
    listeners = Listeners()
    listeners.bind("smtp", ["systemd:smtp"])
    with pytest.raises(ListenError, match="'pop3'; name it in"):
        listeners.refuse_unused()


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ListenError, match=f"cannot listen on {address} for smtp: Address already in use"):
            listen.bind_socket("smtp", address)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end of the notify socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield receiver


def test_a_state_is_one_datagram(manager: socket.socket) -> None:
    systemd.notify(systemd.READY)
    assert manager.recv(100) == b"READY=1"
    systemd.notify(systemd.reloading())
    reloading, _, moment = manager.recv(100).partition(b"\nMONOTONIC_USEC=")
    assert reloading == b"RELOADING=1"
    assert moment.isdigit()


def test_an_abstract_socket_is_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"mailstack-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        systemd.notify(systemd.STOPPING)
        assert receiver.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("path", ["", "/nowhere/at/all"])
def test_without_a_listening_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    systemd.notify(systemd.READY)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_this_very_process(environ: dict[str, str], seconds: float | None) -> None:
    assert systemd.watchdog_seconds(environ) == seconds


def test_the_reactor_tells_twice_in_each_period_that_it_turns(manager: socket.socket) -> None:
    clock = Clock()
    manager.setblocking(False)
    systemd.tell_alive(clock, {"WATCHDOG_USEC": "30000000"})
    assert manager.recv(100) == b"WATCHDOG=1"
    clock.advance(14)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
    clock.advance(1)
    assert manager.recv(100) == b"WATCHDOG=1"


def test_nobody_is_told_where_systemd_does_not_watch(manager: socket.socket) -> None:
    clock = Clock()
    systemd.tell_alive(clock, {})
    assert clock.getDelayedCalls() == []


def test_each_socket_of_a_name_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    adopted: list[Any] = []

    class Reactor:
        def adoptStreamPort(self, descriptor: int, family: int, factory: Any) -> Any:  # noqa: N802
            adopted.append(family)

    Passed(monkeypatch, "smtp", "smtp")
    listeners = Listeners()
    listeners.bind("smtp", ["systemd:smtp"])
    listeners.refuse_unused()
    listeners.adopt(Reactor(), "smtp", None)  # type: ignore[arg-type]
    assert adopted == [socket.AF_INET, socket.AF_INET]


class NoMoreFiles:
    """A listening socket at which somebody knocks whom the system has no descriptor for."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.tries = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def accept(self) -> Any:
        self.tries += 1
        raise OSError(errno.ENFILE, "Too many open files in system")


@pytest_twisted.ensureDeferred
async def test_without_descriptors_the_reactor_does_not_spin() -> None:
    from twisted.internet import reactor

    listeners = Listeners()
    observers = list(globalLogPublisher._observers)
    process.watch_twisted(lambda: listeners.rest(reactor), reactor.seconds)  # type: ignore[arg-type,attr-defined]
    listeners.bind("smtp", [f"127.0.0.1:{free_ports(1)[0]}"])
    listeners.adopt(reactor, "smtp", ServerFactory.forProtocol(Protocol))  # type: ignore[arg-type]
    [port] = listeners._ports
    port.socket = broken = NoMoreFiles(port.socket)  # type: ignore[attr-defined]
    with socket.create_connection(("127.0.0.1", port.getHost().port)):  # type: ignore[attr-defined]
        await deferLater(reactor, 2.5 * listen.REST_SECONDS, lambda: None)  # type: ignore[arg-type]
        port.socket = broken.real  # type: ignore[attr-defined]
        await deferLater(reactor, 1.5 * listen.REST_SECONDS, lambda: None)  # type: ignore[arg-type]
    assert 1 <= broken.tries <= 4
    await listeners.stop()
    for added in set(globalLogPublisher._observers) - set(observers):
        globalLogPublisher.removeObserver(added)


def test_a_config_that_wants_more_files_than_there_are_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = io.StringIO()
    monkeypatch.setattr("mailstack.maillog._stream", said)
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 2048))
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: said.write(f"set {limits}\n"))
    process.raise_file_limit(Config("mx.example.test", tmp_path))
    assert "set (2048, 2048)" in said.getvalue()
    assert "2048 may be open, all connections of the config want 3300" in said.getvalue()
