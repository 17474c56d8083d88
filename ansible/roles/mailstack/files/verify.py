"""Sends one mail round a running host: submitted over TLS, fetched over TLS by POP3, by a passing account.

Run on the host as root by the Python of the active version, with the config as argument. The account and its
domain, which the world cannot reach, go again whatever happens. Exit code 1 and one line when the mail did not come.
"""

import poplib
import secrets
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailstack.config import Config
from mailstack.config_file import load_config
from mailstack.config_values import split_host_port

DOMAIN = "verify.invalid"
ACCOUNT = f"probe@{DOMAIN}"
PATIENCE = 60.0
"""Seconds for a server to answer, and for the mail to come round."""


def main(config_path: Path) -> None:
    """Send the mail round; `SystemExit` says what is wrong."""
    config = load_config(config_path, {})
    program = [str(Path(sys.executable).with_name("mailstack")), "--config", str(config_path)]
    password = secrets.token_urlsafe(24)
    token = secrets.token_hex(16)
    with _account(program, password):
        try:
            _submit(config, password, token)
            _fetch(config, password, token)
        except (OSError, smtplib.SMTPException, poplib.error_proto) as error:
            raise SystemExit(f"the mail did not go round: {type(error).__name__}: {error}") from None
    print("a mail went round: submitted and fetched over TLS")


@contextmanager
def _account(program: list[str], password: str) -> Iterator[None]:
    """The account, as long as it is needed; also removes what an interrupted run left."""
    remove = [*program, "domain", "remove", DOMAIN, "--with-accounts"]
    subprocess.run(remove, check=False, capture_output=True)
    try:
        _run([*program, "domain", "add", DOMAIN])
        _run([*program, "account", "add", ACCOUNT, "--password-stdin"], password)
        yield
    finally:
        _run(remove)


def _run(command: list[str], standard_input: str = "") -> None:
    done = subprocess.run(command, input=standard_input, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[3:])}: {done.stderr.strip()}")


def _submit(config: Config, password: str, token: str) -> None:
    host, port = _place(config.listen.submissions, "submissions")
    message = f"From: {ACCOUNT}\r\nTo: {ACCOUNT}\r\nSubject: verify\r\n\r\n{token}\r\n"
    with smtplib.SMTP_SSL(host, port, config.hostname, timeout=PATIENCE, context=_trust(config)) as server:
        _log_in(server, password)
        server.sendmail(ACCOUNT, [ACCOUNT], message)


def _log_in(server: smtplib.SMTP_SSL, password: str) -> None:
    """Log in; a running server knows a new account within a second or two, and says 535 before."""
    for _ in range(4):
        try:
            server.login(ACCOUNT, password)
            return
        except smtplib.SMTPAuthenticationError:
            time.sleep(1)
    server.login(ACCOUNT, password)


def _fetch(config: Config, password: str, token: str) -> None:
    host, port = _place(config.listen.pop3s, "pop3s")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        server = poplib.POP3_SSL(host, port, timeout=PATIENCE, context=_trust(config))
        server.user(ACCOUNT)
        server.pass_(password)
        if server.stat()[0]:
            lines = server.retr(1)[1]
            server.quit()
            if token.encode() not in lines:
                raise SystemExit("a mail came, but not the one that was sent")
            return
        server.quit()
        time.sleep(0.5)
    raise SystemExit(f"the mail was accepted but did not come within {PATIENCE:.0f} s; see `mailstack queue list`")


def _place(endpoints: tuple[str, ...], service: str) -> tuple[str, int]:
    """Where this machine reaches a service."""
    for endpoint in endpoints:
        if not endpoint.startswith("systemd:"):
            host, port = split_host_port(endpoint)
            return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port
    raise SystemExit(f"{service} has no address in [listen], so no mail can go round; set mailstack_verify: false")


def _trust(config: Config) -> ssl.SSLContext:
    """Trusts the host's own certificate, self-signed or by a CA; `mailstack check` looks at its names."""
    context = ssl.create_default_context(cafile=str(config.tls.certificate))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context


main(Path(sys.argv[1]))
