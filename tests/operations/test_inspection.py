"""`mailstack check`: each thing that can be wrong is said, and nothing else."""

import os
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailstack.cli.init import make_host
from mailstack.config import Config, Listen
from mailstack.operations import inspect_files
from mailstack.operations.certificates import make_self_signed
from mailstack.operations.inspection import inspect_host
from mailstack.operations.running import is_running, mark_running
from tests.host import free_ports

NOW = datetime.now(UTC)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who alone may give files away")


@pytest.fixture
def config(public_folder: Path) -> Config:
    ports = free_ports(2)
    listen = Listen(
        smtp=(f"127.0.0.1:{ports[0]}",), submission=(), submissions=(), pop3=(), pop3s=(f"127.0.0.1:{ports[1]}",),
        http=(), https=(), metrics=(),
    )  # fmt: skip
    return make_host(public_folder / "host", "mx.example.test", listen)


def wrongs(config: Config, now: datetime = NOW) -> list[str]:
    return [finding.what for finding in inspect_host(config, now) if finding.is_wrong]


def notes(config: Config, now: datetime = NOW) -> str:
    return "\n".join(finding.what for finding in inspect_host(config, now) if not finding.is_wrong)


def test_nothing_is_wrong_with_a_new_host(config: Config) -> None:
    assert wrongs(config) == []
    assert "self-signed" in notes(config)
    assert "no domain yet" in notes(config)


def test_a_port_that_another_program_has(config: Config) -> None:
    host, _, port = config.listen.smtp[0].partition(":")
    with socket.create_server((host, int(port))):
        [wrong] = wrongs(config)
    assert wrong.startswith(f"listen: cannot listen on {config.listen.smtp[0]} for smtp: Address already in use")


def test_ports_of_our_own_running_server_are_fine(config: Config) -> None:
    held = mark_running(config.data)
    assert is_running(config.data)
    host, _, port = config.listen.smtp[0].partition(":")
    with socket.create_server((host, int(port))):
        assert wrongs(config) == []
    os.close(held)
    assert not is_running(config.data)


def test_an_address_that_is_not_ours_and_one_named_twice(config: Config) -> None:
    twice = config.listen.smtp
    listen = replace(config.listen, pop3=("192.0.2.1:2110",), submission=twice)
    assert [wrong.partition(";")[0] for wrong in wrongs(replace(config, listen=listen))] == [
        f"listen: submission and smtp both want {twice[0]}",
        "listen: cannot listen on 192.0.2.1:2110 for pop3: Cannot assign requested address",
    ]


def test_sockets_of_systemd_are_not_tried(config: Config) -> None:
    listen = replace(config.listen, smtp=("systemd:smtp",))
    assert wrongs(replace(config, listen=listen)) == []


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(days=3651), "tls: the certificate ended on"),
        (timedelta(days=-1), "tls: the certificate begins on"),
    ],
)
def test_a_certificate_out_of_its_time(config: Config, age: timedelta, words: str) -> None:
    [wrong] = wrongs(config, NOW + age)
    assert wrong.startswith(words)


def test_a_certificate_that_ends_soon_or_is_for_another_host(config: Config) -> None:
    assert "renew it" in notes(config, NOW + timedelta(days=3640))
    config.tls.certificate.unlink()
    config.tls.key.unlink()
    certificate, key = make_self_signed(["mail.example.net"], NOW)
    config.tls.certificate.write_bytes(certificate)
    config.tls.key.write_bytes(key)
    assert wrongs(config) == [
        "tls: the certificate is for mail.example.net, not mx.example.test; get one for it"
    ]  # fmt: skip


def test_a_disk_that_is_low(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect_files, "free_space", lambda folder: (1 << 20, 1 << 40))
    assert wrongs(config) == ["data: the disk has 1 MiB left, too little to take mail; make room"]


def test_secrets_that_anybody_may_read(config: Config) -> None:
    config.tls.key.chmod(0o644)
    (config.data / "mailstack.db").chmod(0o604)
    said = notes(config)
    assert f"tls: anybody may use {config.tls.key}; chmod it to 600" in said
    assert f"database: anybody may use {config.data / 'mailstack.db'}; chmod it to 600" in said


def test_a_user_who_does_not_exist(config: Config) -> None:
    if os.geteuid() == 0:
        assert wrongs(replace(config, user="no-such-user"))[0].startswith('user: there is no user "no-such-user"')


@needs_root
def test_what_the_user_may_not_touch_though_root_may(config: Config) -> None:
    said = wrongs(replace(config, user="nobody"))
    assert [wrong.partition(":")[0] for wrong in said] == ["data", "content", "database"]
    assert "cannot be written to by nobody; `chown -R nobody:` mends it" in said[0]
    assert "nobody cannot read" in notes(replace(config, user="nobody"))
    for path in (config.data, *config.data.rglob("*")):
        os.chown(path, 65534, 65534)
    assert wrongs(replace(config, user="nobody")) == []


@needs_root
def test_a_program_that_the_user_cannot_read(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(inspect_files, "PROGRAM", tmp_path)
    assert f"user: nobody cannot read the program in {tmp_path}" in wrongs(replace(config, user="nobody"))[0]


def test_a_host_that_root_would_stay(config: Config) -> None:
    assert ("the server would stay root" in notes(config)) == (os.geteuid() == 0)
