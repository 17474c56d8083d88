"""Real mail hosts as private copies on loopback: Postfix as sender and receiver, Dovecot as POP3 server.

Each copy has its own folder, configuration, ports and log, and needs nothing of the system's own instance, which may be
stopped, broken or busy. Both must be started by root, since they change users themselves. The benchmarks use them too.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mailstack.operations.certificates import make_self_signed, write_certificate
from tests.host import HostError, free_ports, wait_until

PROGRAMS = {
    "postfix": "postfix",
    "dovecot": "dovecot-pop3d",
    "knotd": "knot",
    "swaks": "swaks",
    "curl": "curl",
    "msmtp": "msmtp",
    "mpop": "mpop",
    "fetchmail": "fetchmail",
    "getmail": "getmail6",
    "promtool": "prometheus",
    "ss": "iproute2",
}
"""The program a test runs and the Debian package that has it."""


def missing_package(program: str) -> str | None:
    """The Debian package to install before `program` runs, or None."""
    return None if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") else PROGRAMS[program]


@contextmanager
def peer_folder(name: str) -> Iterator[Path]:
    """A folder that the peers' own users can enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix=f"mailstack-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A self-signed certificate for those names, in place of any there: its chain and key in PEM files."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    for path in (certificate, key):
        path.unlink(missing_ok=True)
    write_certificate(certificate, key, *make_self_signed(list(names), datetime.now(UTC)))
    return certificate, key


def listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


class Postfix:
    """One instance: `settings` go into main.cf over a minimal base that hosts nothing and relays for nobody."""

    def __init__(
        self, folder: Path, name: str, settings: Mapping[str, object], address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.folder = folder / name
        self.name = name
        self.address = address
        self.port = port or free_ports(1, address)[0]
        self.settings = settings
        self.log = self.folder / "log"
        self._running = False

    def configure(self) -> None:
        """Write main.cf and master.cf and the folders they name."""
        conf = self.folder / "conf"
        for part in ("conf", "queue", "data", "mail"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        shutil.chown(self.folder / "data", "postfix")
        shutil.chown(self.folder / "mail", "nobody")
        main = {
            "compatibility_level": "3.6",
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "myhostname": f"{self.name}.peer.example",
            "mydestination": "",
            "mynetworks": "",
            "alias_maps": "",
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "maillog_file": self.log,
            "maillog_file_prefixes": f"/var, /tmp, {self.folder}",
            "smtputf8_enable": "yes",
            "virtual_mailbox_base": self.folder / "mail",
            "virtual_mailbox_limit": "0",
            "message_size_limit": str(60 * 1024 * 1024),
            "virtual_uid_maps": "static:65534",
            "virtual_gid_maps": "static:65534",
            **self.settings,
        }
        (conf / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in main.items()))
        (conf / "master.cf").write_text(MASTER.format(listen=f"{self.address}:{self.port}"))

    def write_map(self, name: str, lines: Mapping[str, str]) -> str:
        """A table for a setting to name; its `texthash:` form."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
        return f"texthash:{path}"

    def start(self) -> "Postfix":
        self.configure()
        self._control("start")
        self._running = True
        wait_until(lambda: listens(self.address, self.port), f"Postfix {self.name} listens")
        return self

    def stop(self) -> None:
        if self._running:
            self._running = False
            self._control("stop")
            wait_until(lambda: not listens(self.address, self.port), f"Postfix {self.name} has stopped")

    def flush(self) -> None:
        self._control("flush")

    def mails(self, user: str) -> list[bytes]:
        """What arrived in a user's Maildir."""
        return [path.read_bytes() for path in sorted((self.folder / "mail" / user / "new").glob("*"))]

    def clear(self, user: str) -> None:
        """Empty a user's Maildir."""
        for path in (self.folder / "mail" / user / "new").glob("*"):
            path.unlink()

    def master_pid(self) -> int:
        return int((self.folder / "queue" / "pid" / "master.pid").read_text())

    def _control(self, verb: str) -> None:
        done = subprocess.run(
            ["postfix", "-c", str(self.folder / "conf"), verb],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise HostError(f"postfix {verb}: {done.stdout}")


MASTER = """\
{listen} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Dovecot:
    """One instance with POP3 in the clear and over TLS; every user exists and has the password given."""

    def __init__(self, folder: Path, password: str, settings: str = "") -> None:
        self.folder = folder / "dovecot"
        self.password = password
        self.settings = settings
        self.ports = dict(zip(("pop3", "pop3s"), free_ports(2), strict=True))
        self._running = False

    def start(self) -> "Dovecot":
        for part in ("run", "mail"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        shutil.chown(self.folder / "mail", "nobody", "nogroup")
        certificate, key = make_certificate(self.folder, "localhost")
        config = self.folder / "dovecot.conf"
        config.write_text(
            DOVECOT.format(
                folder=self.folder,
                certificate=certificate,
                key=key,
                password=self.password,
                settings=self.settings,
                **self.ports,
            )
        )
        with (self.folder / "start.log").open("wb") as out:
            subprocess.run(["dovecot", "-c", str(config)], stdout=out, stderr=out, check=True, timeout=30)
        self._running = True
        wait_until(lambda: listens("127.0.0.1", self.ports["pop3s"]), "Dovecot listens")
        return self

    def stop(self) -> None:
        if self._running:
            self._running = False
            command = ["doveadm", "-c", str(self.folder / "dovecot.conf"), "stop"]
            subprocess.run(command, check=True, capture_output=True, timeout=30)

    def fill(self, user: str, content: bytes, count: int) -> None:
        """Put mails into a user's Maildir as a delivery agent leaves them."""
        maildir = self.folder / "mail" / user
        for part in ("new", "cur", "tmp"):
            (maildir / part).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (maildir / "new" / f"17000{number:05}.M{number}.bench").write_bytes(content.replace(b"\r\n", b"\n"))
        subprocess.run(["chown", "-R", "nobody:nogroup", str(maildir)], check=True)

    def master_pid(self) -> int:
        return int((self.folder / "run" / "master.pid").read_text())


DOVECOT = """\
base_dir = {folder}/run
log_path = {folder}/log
listen = 127.0.0.1
protocols = pop3
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/%u
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail/%u
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
{settings}
"""
