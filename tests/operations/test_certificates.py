"""Self-signed certificates: a client takes them, the key is nobody else's, and wrong pairs are told apart."""

import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socketpair

import pytest

from mailstack.operations.certificates import (
    CertificateError,
    inspect_certificate,
    make_self_signed,
    write_certificate,
)

NOW = datetime.now(UTC)


def write_pair(folder: Path, *names: str, now: datetime = NOW) -> tuple[Path, Path]:
    paths = folder / "tls" / "cert.pem", folder / "tls" / "key.pem"
    write_certificate(*paths, *make_self_signed(names, now))
    return paths


@pytest.mark.parametrize("name", ["mx.example.test", "127.0.0.1"])
def test_a_client_that_trusts_the_file_takes_it(tmp_path: Path, name: str) -> None:
    certificate, key = write_pair(tmp_path, "mx.example.test", "localhost", "127.0.0.1")
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(certificate, key)
    ours, theirs = socketpair()
    serving = threading.Thread(target=lambda: server_context.wrap_socket(ours, server_side=True).close())
    serving.start()
    try:
        client = ssl.create_default_context(cafile=str(certificate)).wrap_socket(theirs, server_hostname=name)
        assert client.version() == "TLSv1.3"
        client.close()
    finally:
        serving.join(10)


def test_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    _, key = write_pair(tmp_path, "mx.example.test")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_nothing_is_written_over(tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, "mx.example.test")
    before = certificate.read_bytes(), key.read_bytes()
    with pytest.raises(FileExistsError):
        write_pair(tmp_path, "mx.example.test")
    assert (certificate.read_bytes(), key.read_bytes()) == before


def test_what_a_certificate_says(tmp_path: Path) -> None:
    facts = inspect_certificate(*write_pair(tmp_path, "mx.example.test", "*.example.net", "::1"))
    assert facts.names == ("mx.example.test", "*.example.net", "::1")
    assert facts.is_self_signed
    assert facts.not_after - NOW > timedelta(days=3600)
    assert facts.covers("MX.example.test")
    assert facts.covers("a.example.net")
    assert not facts.covers("a.b.example.net")
    assert not facts.covers("example.net")


def test_a_very_long_host_name_still_gets_one(tmp_path: Path) -> None:
    name = ".".join(["a" * 50] * 4) + ".example"
    assert inspect_certificate(*write_pair(tmp_path, name)).covers(name)


def test_wrong_files_are_told_apart(tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path / "one", "mx.example.test")
    _, other = write_pair(tmp_path / "two", "mx.example.test")
    with pytest.raises(CertificateError, match="is not the key of"):
        inspect_certificate(certificate, other)
    with pytest.raises(CertificateError, match="cannot be read"):
        inspect_certificate(tmp_path / "absent", key)
    with pytest.raises(CertificateError, match="holds no certificate"):
        inspect_certificate(key, key)
    with pytest.raises(CertificateError, match="holds no unencrypted private key"):
        inspect_certificate(certificate, certificate)
