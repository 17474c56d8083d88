"""Real programs fetch: mpop, fetchmail, getmail6 and curl; by STLS and POP3S, keeping and deleting, byte for byte."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.host import PASSWORD, Host, send
from tests.lab.conftest import BOB
from tests.lab.needs import needs
from tests.lab.programs import run, write_private

pytestmark = needs("mpop", "fetchmail", "getmail", "curl")

BODIES = [
    "Zażółć gęślą jaźń — 信じて\r\n.punkt\r\n..\r\nkonec \r\n".encode(),
    b"\r\n\r\n",
    "ø".encode() * 400 + b"\r\n" + b"last",
]


@dataclass(frozen=True)
class Mailbox:
    """Where a client has to go: one service of a host, and what it is to do with what it fetched."""

    host: Host
    folder: Path
    service: str
    keeps: bool

    @property
    def port(self) -> int:
        return self.host.ports[self.service]

    @property
    def certificate(self) -> Path:
        return self.host.folder / "tls" / "cert.pem"


def mpop(box: Mailbox) -> list[bytes]:
    for name in ("cur", "new", "tmp"):
        (box.folder / name).mkdir(exist_ok=True)
    settings = f"""\
account default
host localhost
port {box.port}
tls on
tls_starttls {"on" if box.service == "pop3" else "off"}
tls_trust_file {box.certificate}
auth on
user {BOB}
password "{PASSWORD}"
keep {"on" if box.keeps else "off"}
received_header off
uidls_file {box.folder}/uidls
delivery maildir {box.folder}
"""
    run("mpop", "-C", write_private(box.folder / "mpoprc", settings), folder=box.folder)
    return _take_out(box.folder / "new")


def getmail(box: Mailbox) -> list[bytes]:
    (box.folder / "new").mkdir(exist_ok=True)
    settings = f"""\
[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {box.port}
username = {BOB}
password = {PASSWORD}
ca_certs = {box.certificate}
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >{box.folder}/new/$$")
allow_root_commands = true
[options]
delete = {"false" if box.keeps else "true"}
read_all = false
delivered_to = false
received = false
"""
    write_private(box.folder / "getmailrc", settings)
    run("getmail", "--getmaildir", box.folder, "--rcfile", "getmailrc", folder=box.folder)
    return _take_out(box.folder / "new")


def fetchmail(box: Mailbox) -> list[bytes]:
    new = box.folder / "new"
    new.mkdir(exist_ok=True)
    tls = "sslproto tls1.2+" if box.service == "pop3" else "ssl"
    settings = f"""\
set no bouncemail
set invisible
poll localhost protocol pop3 service {box.port} uidl
  username "{BOB}" password "{PASSWORD}"
  {tls} sslcertck sslcertfile "{box.certificate}"
  mda "cat >{new}/$$" {"keep" if box.keeps else "nokeep"} norewrite
"""
    rc = write_private(box.folder / "fetchmailrc", settings)
    nothing_new = 1
    run(
        *("fetchmail", "--nosyslog", "-f", rc, "-i", box.folder / "uidls", "--pidfile", box.folder / "pid"),
        folder=box.folder,
        expect=(0, nothing_new),
    )
    return _take_out(new)


def curl(box: Mailbox) -> list[bytes]:
    scheme = "pop3s" if box.service == "pop3s" else "pop3"
    base = ["curl", "-sS", "--ssl-reqd", "--cacert", str(box.certificate), "--user", f"{BOB}:{PASSWORD}"]
    url = f"{scheme}://localhost:{box.port}/"
    numbers = [line.split()[0] for line in run(*base, url).splitlines()]
    mails = []
    for number in numbers:
        run(*base, "--output", box.folder / "mail", url + number)
        mails.append((box.folder / "mail").read_bytes())
        if not box.keeps:
            run(*base, "--request", f"DELE {number}", "--head", url)
            break  # a new session numbers anew
    return mails


def _take_out(folder: Path) -> list[bytes]:
    paths = list(folder.iterdir())
    mails = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    return mails


Fetch = Callable[[Mailbox], list[bytes]]
CLIENTS = [(mpop, "pop3"), (mpop, "pop3s"), (fetchmail, "pop3"), (fetchmail, "pop3s"), (getmail, "pop3s")]
"""getmail6 knows no STLS."""


@pytest.fixture
def mails(host: Host) -> list[bytes]:
    """What lies in Bob's maildrop, as POP3 shows it."""
    host.fetch(BOB, delete=True)
    with host.mx() as session:
        for number, body in enumerate(BODIES):
            content = f"Subject: mail {number}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n".encode() + body
            send(session, "", [BOB], content, "BODY=8BITMIME")
    return host.fetch(BOB)


def bodies(mails: list[bytes]) -> list[bytes]:
    """As the wire has them: programs on this kind of system end lines by LF alone, and the last one always."""
    wire = [mail.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").partition(b"\r\n\r\n")[2] for mail in mails]
    return sorted(body if body.endswith(b"\r\n") else body + b"\r\n" for body in wire)


@pytest.mark.parametrize(("fetch", "service"), CLIENTS)
def test_kept_mail_is_fetched_once_and_then_deleted(
    host: Host, mails: list[bytes], tmp_path: Path, fetch: Fetch, service: str
) -> None:
    fetched = fetch(Mailbox(host, tmp_path, service, keeps=True))
    assert bodies(fetched) == bodies(mails)
    assert all(b"Return-Path: <>" in mail and b"Delivered-To: " in mail for mail in fetched)
    assert fetch(Mailbox(host, tmp_path, service, keeps=True)) == [], "unique-ids stay, so nothing comes again"
    host.stop()
    host.start()
    assert fetch(Mailbox(host, tmp_path, service, keeps=True)) == [], "not after a restart either"
    with host.mx() as session:
        send(session, "", [BOB], b"Subject: one more\r\n\r\nnew\r\n")
    assert bodies(fetch(Mailbox(host, tmp_path, service, keeps=False))) == [b"new\r\n"]


@pytest.mark.parametrize(("fetch", "service"), CLIENTS)
def test_fetched_mail_is_deleted(host: Host, mails: list[bytes], tmp_path: Path, fetch: Fetch, service: str) -> None:
    assert bodies(fetch(Mailbox(host, tmp_path, service, keeps=False))) == bodies(mails)
    assert host.fetch(BOB) == []


@pytest.mark.parametrize("service", ["pop3", "pop3s"])
def test_curl_fetches_every_octet(host: Host, mails: list[bytes], tmp_path: Path, service: str) -> None:
    assert curl(Mailbox(host, tmp_path, service, keeps=True)) == mails
    assert curl(Mailbox(host, tmp_path, service, keeps=False)) == mails[:1]
    assert host.fetch(BOB) == mails[1:]
