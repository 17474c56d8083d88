"""Real programs send: swaks, curl and msmtp submit, swaks comes as a stranger to port 25."""

from pathlib import Path

import pytest

from tests.host import PASSWORD, Host
from tests.lab.conftest import ALICE, BOB
from tests.lab.needs import needs
from tests.lab.programs import run, write_private

pytestmark = needs("swaks", "curl", "msmtp")

MAIL = "Subject: Grüße\nFrom: alice@example.test\nTo: bob@example.test\n\n.Ein Punkt, ein Gruß.\n..\n.\nEnde\n".encode()
LINES = b".Ein Punkt, ein Gru\xc3\x9f.\r\n..\r\n.\r\nEnde\r\n"


def only_mail(host: Host, account: str = BOB) -> bytes:
    """The one mail of an account, taken out of its maildrop."""
    (mail,) = host.fetch(account, delete=True)
    return mail


def swaks(host: Host, service: str, *options: str, expect: tuple[int, ...] = (0,), sender: str = ALICE) -> str:
    command = ["swaks", "--server", f"localhost:{host.ports[service]}", "--from", sender, "--to", BOB]
    return run(*command, "--helo", "client.example.net", *options, expect=expect)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(("service", "tls"), [("submission", "--tls"), ("submissions", "--tls-on-connect")])
def test_swaks_submits(host: Host, service: str, tls: str, mechanism: str) -> None:
    ca = ["--tls-verify", "--tls-ca-path", str(host.folder / "tls" / "cert.pem")]
    login = ["--auth", mechanism, "--auth-user", ALICE, "--auth-password", PASSWORD]
    words = swaks(host, service, tls, *ca, *login, "--body", f"by {mechanism}")
    assert "235 2.7.0" in words
    mail = only_mail(host)
    assert b" with ESMTPSA " in mail
    assert f"by {mechanism}".encode() in mail


def test_swaks_is_refused_without_tls_without_login_and_with_a_wrong_password(host: Host) -> None:
    login = ["--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", "wrong"]
    assert "250-AUTH" not in swaks(host, "submission", "--quit-after", "EHLO")
    assert "530 5.7.0" in swaks(host, "submission", expect=(23,))
    assert "530 5.7.0" in swaks(host, "submission", "--tls", expect=(23,))
    assert "535 5.7.8" in swaks(host, "submission", "--tls", *login, expect=(28,))
    assert host.fetch(BOB) == []


@pytest.mark.parametrize("options", [(), ("--tls",), ("--pipeline",), ("--tls", "--pipeline")])
def test_swaks_brings_mail_from_outside(host: Host, options: tuple[str, ...]) -> None:
    swaks(host, "smtp", *options, "--body", "from afar", sender="friend@elsewhere.test")
    mail = only_mail(host)
    assert mail.startswith(b"Return-Path: <friend@elsewhere.test>\r\n")
    assert (b" with ESMTPS " if "--tls" in options else b" with ESMTP ") in mail


def test_swaks_cannot_relay_and_has_no_login_on_port_25(host: Host) -> None:
    relayed = swaks(host, "smtp", "--to", "someone@elsewhere.test", expect=(24,), sender="friend@elsewhere.test")
    assert "550 5.7.1" in relayed
    assert "AUTH" not in swaks(host, "smtp", "--tls", "--quit-after", "EHLO")


@pytest.mark.parametrize(("scheme", "service"), [("smtp", "submission"), ("smtps", "submissions")])
def test_curl_submits(host: Host, scheme: str, service: str) -> None:
    trust = ["--ssl-reqd", "--cacert", str(host.folder / "tls" / "cert.pem")]
    person = ["--user", f"{ALICE}:{PASSWORD}", "--mail-from", ALICE, "--mail-rcpt", BOB]
    content = MAIL.replace(b"\n", b"\r\n")
    url = f"{scheme}://localhost:{host.ports[service]}/client.example.net"
    run("curl", "-sS", *trust, *person, "--upload-file", "-", url, stdin=content)
    assert only_mail(host).endswith(b"\r\n\r\n" + LINES)


def msmtp(
    host: Host, folder: Path, mechanism: str, starttls: str, sender: str, *, expect: tuple[int, ...] = (0,)
) -> str:
    settings = f"""\
account default
host localhost
port {host.ports["submission" if starttls == "on" else "submissions"]}
from {sender}
tls on
tls_starttls {starttls}
tls_trust_file {host.folder}/tls/cert.pem
auth {mechanism}
user {ALICE}
password "{PASSWORD}"
"""
    path = write_private(folder / "msmtprc", settings)
    return run("msmtp", "-C", path, "--debug", "--", BOB, stdin=MAIL, folder=folder, expect=expect)


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "plain", "login", "on"])
@pytest.mark.parametrize("starttls", ["on", "off"])
def test_msmtp_submits(host: Host, tmp_path: Path, mechanism: str, starttls: str) -> None:
    words = msmtp(host, tmp_path, mechanism, starttls, ALICE)
    if mechanism != "on":
        assert f"AUTH {mechanism.upper()}" in words
    assert only_mail(host).endswith(b"\r\n\r\n" + LINES)


def test_msmtp_passes_on_why_it_was_refused(host: Host, tmp_path: Path) -> None:
    words = msmtp(host, tmp_path, "on", "off", BOB, expect=(65,))
    assert "550 5.7.1" in words
    assert host.fetch(BOB) == []
