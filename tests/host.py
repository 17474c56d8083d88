"""A whole Mailstack as a subprocess on loopback, for end-to-end, lab and fault tests and for the benchmarks.

`Host` makes a data folder with the command line, writes the config, starts and stops the server, and asks the queue and
the trace as a script would. `MAILSTACK_COMMAND` names another command than this checkout's (CI gives the one installed
from a wheel).
"""

import itertools
import json
import os
import poplib
import shlex
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, TypeVar

import mailstack

PASSWORD = "correct horse battery"
PORT_PARTS = tuple(range(first, first + 2000) for first in range(12000, 32000, 2000))
SERVICES = ("smtp", "submission", "submissions", "pop3", "pop3s", "http", "https")
Settings = Mapping[str, object]
T = TypeVar("T")


class HostError(AssertionError):
    """The host did not do what a test relied on; carries its words."""


def _port_walk() -> Iterator[int]:
    """The ports of this process's tests, round and round.

    Ports that the kernel hands out by itself (32768 and up, to outgoing connections too) are left alone, as one of them
    may be gone before the server that a test starts binds it. Each pytest-xdist worker walks a part of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % len(PORT_PARTS)
    part = PORT_PARTS[worker]
    start = os.getpid() % len(part)
    return itertools.cycle((*part[start:], *part[:start]))


_ports = _port_walk()


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Ports of `address` nobody listens on, all different, and no other test of this run is given them soon."""
    found: list[int] = []
    while len(found) < count:
        port = next(_ports)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((address, port))
            except OSError:
                continue
        found.append(port)
    return found


def wait_until(question: Callable[[], T], what: str, timeout: float = 60.0, every: float = 0.05) -> T:
    """Ask until the answer is truthy and return it; HostError naming `what` after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise HostError(f"not within {timeout:g} s: {what}")
        time.sleep(every)


def letter(sender: str, *recipients: str, subject: str = "a letter", text: str = "Good day.\n") -> EmailMessage:
    """A small, complete mail."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Date"] = "Fri, 21 Nov 1997 09:55:06 -0600"
    message["Message-ID"] = f"<{time.time_ns():x}@test.example>"
    message.set_content(text)
    return message


class Host:
    """One mail host: its folder, its ports, its process."""

    def __init__(
        self,
        folder: Path,
        hostname: str = "mx.example.test",
        address: str = "127.0.0.1",
        settings: Settings | None = None,
    ) -> None:
        self.folder = folder
        self.hostname = hostname
        self.address = address
        self.ports = dict(zip(SERVICES, free_ports(len(SERVICES), address), strict=True))
        self.settings: dict[str, object] = dict(settings or {})
        self.process: subprocess.Popen[bytes] | None = None
        self._told_before = 0
        self.passwords: dict[str, str] = {}
        self.extra_environment: dict[str, str] = {}

    # --- setting up --------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        return self.folder / "mailstack.toml"

    @property
    def log(self) -> Path:
        return self.folder / "host.log"

    def out_text(self) -> str:
        """What the server has said since its last start."""
        return self.log_text()[self._told_before :]

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def init(self) -> "Host":
        """`mailstack init`, then the config with this host's ports and settings, and the tables where those name."""
        self.run(command_line(), "init", "--data", str(self.folder), "--hostname", self.hostname)
        self.write_config()
        if "database" in self.settings:
            self.command("db", "upgrade")
        return self

    def copy(self, folder: Path, settings: Settings | None = None) -> "Host":
        """A host of its own, on other ports, that begins as this one stands; this one does not run.

        `settings` come over its own; a database other than SQLite is not copied, but named there.
        """
        shutil.copytree(self.folder, folder)
        twin = Host(folder, self.hostname, self.address, {**self.settings, **(settings or {})})
        twin.passwords = dict(self.passwords)
        twin.write_config()
        return twin

    def write_config(self) -> None:
        """Write the whole config anew from `ports` and `settings`."""
        listen = {service: [f"{self.address}:{port}"] for service, port in self.ports.items()}
        document: dict[str, object] = {"hostname": self.hostname, "data": str(self.folder)}
        sections: dict[str, dict[str, object]] = {
            "listen": {**listen},
            "tls": {"certificate": "tls/cert.pem", "key": "tls/key.pem"},
        }
        for name, value in self.settings.items():
            if isinstance(value, Mapping):
                sections[name] = {**sections.get(name, {}), **value}
            else:
                document[name] = value
        lines = [f"{key} = {json.dumps(value)}" for key, value in document.items()]
        for name, section in sections.items():
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
        self.config.write_text("\n".join(lines) + "\n")

    def add_domain(self, name: str, *options: str) -> None:
        self.command("domain", "add", name, *options)

    def add_account(self, address: str, *options: str, password: str = PASSWORD) -> None:
        self.command("account", "add", address, "--password-stdin", *options, stdin=password + "\n")
        self.passwords[address] = password

    # --- the command line --------------------------------------------------------------------------------------------

    def command(self, *arguments: str, stdin: str = "", expect: int | None = 0) -> str:
        """Run `mailstack --config … arguments`; stdout. HostError when the exit code is not `expect`."""
        return self.run([*command_line(), "--config", str(self.config)], *arguments, stdin=stdin, expect=expect)

    def run(self, command: list[str], *arguments: str, stdin: str = "", expect: int | None = 0) -> str:
        done = subprocess.run(
            [*command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,
            env=self.environment(),
            check=False,
        )
        if expect is not None and done.returncode != expect:
            raise HostError(f"{arguments} exited {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout if expect == 0 else done.stdout + done.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self.command(*arguments, "--json"))

    def queue(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.json("queue", "list")
        return rows

    def events(self, what: str) -> list[str]:
        """The names of all events of the messages that `what` names, in order."""
        return [event["event"] for message in self.json("trace", what) for event in message["events"]]

    def environment(self) -> dict[str, str]:
        path = str(Path(mailstack.__file__).parent.parent)
        inherited = os.environ.get("PYTHONPATH")
        settings = {"PYTHONPATH": f"{path}:{inherited}" if inherited else path, "PYTHONUNBUFFERED": "1"}
        if "MAILSTACK_COMMAND" in os.environ:
            settings = {"PYTHONPATH": ""}
        return {**os.environ, **settings, **self.extra_environment}

    # --- the server --------------------------------------------------------------------------------------------------

    def start(self, timeout: float = 90.0, before: Sequence[str] = (), **popen: Any) -> "Host":
        """Start `mailstack serve`, run by the command `before` it, and wait for `ready`; all it says goes to `log`."""
        self._told_before = len(self.log_text())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*before, *command_line(), "--config", str(self.config), "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment(),
                **popen,
            )
        process = self.process

        def is_ready() -> bool:
            if process.poll() is not None:
                raise HostError(f"serve exited {process.returncode}\n{self.out_text()}")
            return "ready" in self.out_text().splitlines()

        wait_until(is_ready, f"`ready` from {self.hostname}\n{self.log_text()}", timeout, every=0.02)
        return self

    def stop(self, timeout: float = 90.0) -> int:
        """SIGTERM; the exit code, once it has ended."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise HostError(f"no end {timeout:g} s after SIGTERM\n{self.log_text()[-4000:]}") from None
        finally:
            self.process = None

    def kill9(self) -> None:
        """As a power cut does to the process, though not to the disk."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill9()

    # --- as a client sees it -----------------------------------------------------------------------------------------

    def tls(self) -> ssl.SSLContext:
        """A client context that trusts exactly this host's certificate."""
        context = ssl.create_default_context(cafile=str(self.folder / "tls" / "cert.pem"))
        context.check_hostname = False
        return context

    def mx(self) -> smtplib.SMTP:
        """A session on the inbound port, EHLO said."""
        session = smtplib.SMTP(self.address, self.ports["smtp"], local_hostname="client.example.net", timeout=60)
        session.ehlo()
        return session

    def submission(self, account: str, password: str | None = None) -> smtplib.SMTP:
        """An authenticated session by implicit TLS."""
        session = smtplib.SMTP_SSL(
            self.address,
            self.ports["submissions"],
            local_hostname="client.example.net",
            timeout=60,
            context=self.tls(),
        )
        session.login(account, self.passwords[account] if password is None else password)
        return session

    def submit(
        self, account: str, recipients: Iterable[str], message: EmailMessage | None = None, **options: Any
    ) -> str:
        """Submit one mail; the queue ID of the 250."""
        recipients = list(recipients)
        message = message or letter(account, *recipients)
        with self.submission(account) as session:
            return send(session, account, recipients, message.as_bytes(policy=SMTP), **options)

    def maildrop(self, account: str) -> poplib.POP3_SSL:
        """A logged-in POP3S session."""
        session = poplib.POP3_SSL(self.address, self.ports["pop3s"], timeout=60, context=self.tls())
        session.user(account)
        session.pass_(self.passwords[account])
        return session

    def fetch(self, account: str, delete: bool = False) -> list[bytes]:
        """All mails of an account, CRLF lines."""
        session = self.maildrop(account)
        mails = []
        for number in range(1, session.stat()[0] + 1):
            mails.append(b"\r\n".join(session.retr(number)[1]) + b"\r\n")
            if delete:
                session.dele(number)
        session.quit()
        return mails

    def wait_for_mail(self, account: str, count: int = 1, timeout: float = 60.0) -> list[bytes]:
        """All mails of an account, as soon as there are `count` of them."""

        def arrived() -> list[bytes]:
            mails = self.fetch(account)
            return mails if len(mails) >= count else []

        return wait_until(arrived, f"{count} mail(s) for {account}\n{self.log_text()[-2000:]}", timeout, every=0.1)


def send(session: smtplib.SMTP, sender: str, recipients: Iterable[str], content: bytes, *mail_options: str) -> str:
    """One transaction; the queue ID out of `250 2.0.0 accepted as ID`. Raises smtplib's errors."""
    code, reply = session.mail(sender, mail_options)
    if code != 250:
        raise smtplib.SMTPSenderRefused(code, reply, sender)
    for recipient in recipients:
        code, reply = session.rcpt(recipient)
        if code not in (250, 251):
            raise smtplib.SMTPRecipientsRefused({recipient: (code, reply)})
    code, reply = session.data(content)
    if code != 250:
        raise smtplib.SMTPDataError(code, reply)
    return reply.decode().rpartition("accepted as ")[2]


def command_line() -> list[str]:
    """How `mailstack` is run: this checkout's, or what MAILSTACK_COMMAND names."""
    named = os.environ.get("MAILSTACK_COMMAND")
    return shlex.split(named) if named else [sys.executable, "-m", "mailstack"]
