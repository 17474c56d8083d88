"""A real client (poplib) over real TLS, against the real store on SQLite: nothing here is a fake."""

import poplib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import Connection, insert, select, update
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from mailstack import maillog
from mailstack.config import Pop3
from mailstack.login import Logins
from mailstack.net.bounds import ConnectionBounds
from mailstack.net.pop3_server import Pop3ServerFactory
from mailstack.net.tls import server_options
from mailstack.operations.certificates import make_self_signed
from mailstack.retrieval import Retrieval
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.directory import DirectoryKeeper, bump_version
from mailstack.store.mailboxes import Mailboxes
from mailstack.store.passwords import Passwords, hash_password
from mailstack.store.schema import account, content, credential, domain, mailbox, maildrop_entry, micros

USER, PASSWORD = "alice@example.test", "correct horse"
PREFIX = b"Return-Path: <bob@example.org>\r\nDelivered-To: alice@example.test\r\n"
INLINE_OCTETS = 64 * 1024


def letter(number: int, octets: int = 300) -> bytes:
    lines = b".a line that begins with a dot\r\n..and one with two\r\n\r\n"
    return b"Subject: %d\r\n\r\n" % number + (lines * (octets // len(lines) + 1))[:octets] + b"\r\n"


class Host:
    """A POP3 service with and without TLS at the start, and one account."""

    def __init__(self, database: Database, folder: Path) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.database = database
        self.contents = ContentStore(folder / "content", INLINE_OCTETS)
        self.keeper = DirectoryKeeper(database, self.reactor)
        self.passwords = Passwords(database, self.reactor)
        self.bugs: list[str] = []
        self.mailboxes = Mailboxes(database, self.contents, node="this", shared=False)
        certificate, key = make_self_signed(["localhost"], datetime.now(UTC))
        (folder / "cert.pem").write_bytes(certificate)
        (folder / "key.pem").write_bytes(key)
        self.tls = server_options(folder / "cert.pem", folder / "key.pem")
        logins = Logins(self.keeper, self.passwords, self.reactor)
        retrieval = Retrieval(logins, self.mailboxes, self.keeper, Pop3(), lambda: datetime.now(UTC))
        self.factories = [self._factory(retrieval, implicit_tls=implicit_tls) for implicit_tls in (False, True)]
        self.listening = [self.reactor.listenTCP(0, each, interface="127.0.0.1") for each in self.factories]
        self.port, self.tls_port = (each.getHost().port for each in self.listening)

    def _factory(self, retrieval: Retrieval, *, implicit_tls: bool) -> Pop3ServerFactory:
        return Pop3ServerFactory(
            retrieval.visit,
            Pop3(),
            tls_options=self.tls,
            implicit_tls=implicit_tls,
            bounds=ConnectionBounds(20, 20),
            clock=self.reactor,
            on_bug=lambda what, failure: self.bugs.append(f"{what}: {failure.getTraceback()}"),
        )

    async def start(self) -> None:
        self.database.write_now(self._add_account)
        await self.keeper.refresh()

    def _add_account(self, connection: Connection) -> None:
        hashes = hash_password(PASSWORD)
        connection.execute(insert(domain).values(id=1, name="example.test", kind="local", created_at=0))
        connection.execute(insert(account).values(id=1, domain_id=1, local_part="alice", created_at=0))
        connection.execute(insert(mailbox).values(account_id=1))
        secret = {"hash": hashes.hash, "scram": hashes.scram, "created_at": 0}
        connection.execute(insert(credential).values(account_id=1, kind="password", **secret))
        bump_version(connection)

    async def deliver(self, *letters: bytes) -> None:
        for body in letters:
            writer = self.contents.new_writer()
            if wait := writer.write(body):
                await wait
            staged = await writer.finish()
            await self.database.write(lambda connection, staged=staged: self._add(connection, staged))  # type: ignore[misc]

    def _add(self, connection: Connection, staged: Any) -> None:
        row = {"size_octets": staged.size_octets, "body": staged.body, "file": staged.file}
        content_id = connection.execute(insert(content).values(row)).inserted_primary_key[0]
        entry = {"account_id": 1, "content_id": content_id, "unique_id": f"uid{content_id}", "prefix": PREFIX}
        size = len(PREFIX) + staged.size_octets
        received_at = micros(datetime.now(UTC))
        connection.execute(insert(maildrop_entry).values(**entry, size_octets=size, received_at=received_at))
        used = {"used_octets": mailbox.c.used_octets + size, "used_messages": mailbox.c.used_messages + 1}
        connection.execute(update(mailbox).values(used))

    def kept(self) -> list[str]:
        query = select(maildrop_entry.c.unique_id).order_by(maildrop_entry.c.id)
        return list(self.database.read_now(lambda connection: connection.scalars(query).all()))

    def connect(self) -> poplib.POP3_SSL:
        return poplib.POP3_SSL("127.0.0.1", self.tls_port, timeout=10, context=_trusting())

    def log_in(self) -> poplib.POP3_SSL:
        client = self.connect()
        client.user(USER)
        client.pass_(PASSWORD)
        return client

    async def stop(self) -> None:
        from datetime import timedelta

        for listening in self.listening:
            await listening.stopListening()
        for factory in self.factories:
            await factory.shutdown(timedelta(seconds=5))
        self.passwords.stop()


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest_twisted.async_yield_fixture
async def host(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    monkeypatch.setattr(maillog, "_stream", (tmp_path / "log").open("w"))
    host = Host(database, tmp_path)
    await host.start()
    yield host
    await host.stop()
    assert host.bugs == []


async def in_thread(work: Callable[[], Any]) -> Any:
    return await deferToThread(work)


@pytest_twisted.ensureDeferred
async def test_poplib_fetches_and_deletes(host: Host) -> None:
    letters = [letter(number) for number in range(150)] + [letter(150, 300_000), letter(151, 5)]
    await host.deliver(*letters)

    def fetch() -> None:
        client = host.log_in()
        assert client.stat() == (152, sum(len(PREFIX) + len(body) for body in letters))
        sizes = [int(line.split()[1]) for line in client.list()[1]]
        names = [line.split()[1].decode() for line in client.uidl()[1]]
        assert names == host.kept()
        for number, body in enumerate(letters, 1):
            _, lines, octets = client.retr(number)
            assert b"".join(line + b"\r\n" for line in lines) == PREFIX + body
            assert octets == sizes[number - 1] == len(PREFIX) + len(body)
        assert client.top(151, 1)[1][-2:] == [b"", b".a line that begins with a dot"]
        for number in range(1, 152):
            client.dele(number)
        assert b"Bye" in client.quit()
        assert names[151:] == host.kept()

    await in_thread(fetch)
    assert not [path for path in (host.contents._folder).rglob("*") if path.is_file()]


@pytest_twisted.ensureDeferred
async def test_stls_then_the_same(host: Host) -> None:
    await host.deliver(letter(1))

    def fetch() -> None:
        client = poplib.POP3("127.0.0.1", host.port, timeout=10)
        assert "STLS" in client.capa()
        assert not {"USER", "SASL"} & set(client.capa())
        with pytest.raises(poplib.error_proto, match="STLS first"):
            client.user(USER)
        client.stls(_trusting())
        assert {"USER", "SASL"} <= set(client.capa())
        client.user(USER)
        client.pass_(PASSWORD)
        assert client.stat()[0] == 1
        client.quit()

    await in_thread(fetch)


@pytest_twisted.ensureDeferred
async def test_a_second_session_is_told_in_use_until_the_first_is_dropped(host: Host) -> None:
    await host.deliver(letter(1), letter(2))

    def race() -> None:
        first = host.log_in()
        with pytest.raises(poplib.error_proto, match="IN-USE"):
            host.log_in()
        first.dele(1)
        first.sock.shutdown(socket.SHUT_RDWR)  # as when the line breaks: no QUIT
        first.close()

    await in_thread(race)
    await _soon(lambda: not any(factory.connections for factory in host.factories))

    def again() -> None:
        client = host.log_in()
        assert client.stat()[0] == 2
        client.quit()

    await in_thread(again)


@pytest_twisted.ensureDeferred
async def test_wrong_passwords_and_unknown_names_look_alike(host: Host) -> None:
    def guess(username: str) -> str:
        client = host.connect()
        client.user(username)
        with pytest.raises(poplib.error_proto) as refused:
            client.pass_("wrong")
        client.close()
        return str(refused.value)

    wrong = await in_thread(lambda: guess(USER))
    assert wrong == await in_thread(lambda: guess("nobody@example.test"))
    assert "[AUTH]" in wrong


@pytest_twisted.ensureDeferred
async def test_a_suspended_account_is_told_so(host: Host) -> None:
    def suspend(connection: Connection) -> None:
        connection.execute(update(account).values(state="suspended"))
        bump_version(connection)

    host.database.write_now(suspend)
    await host.keeper.refresh()

    def try_it() -> None:
        with pytest.raises(poplib.error_proto, match="suspended"):
            host.log_in()

    await in_thread(try_it)


@pytest_twisted.ensureDeferred
async def test_login_delay_of_the_domain(host: Host) -> None:
    def set_delay(connection: Connection) -> None:
        connection.execute(update(domain).values(login_delay_seconds=900, expire_days=30))
        bump_version(connection)

    host.database.write_now(set_delay)
    await host.keeper.refresh()

    def twice() -> None:
        client = host.log_in()
        capabilities = client.capa()
        assert (capabilities["LOGIN-DELAY"], capabilities["EXPIRE"]) == (["900"], ["30"])
        client.quit()
        with pytest.raises(poplib.error_proto, match="LOGIN-DELAY"):
            host.log_in()

    await in_thread(twice)


@pytest_twisted.ensureDeferred
async def test_pipelined_commands_are_answered_in_order(host: Host) -> None:
    letters = [letter(number) for number in range(100)]
    await host.deliver(*letters)

    def pipeline() -> None:
        client = host.log_in()
        client.sock.sendall(b"".join(b"RETR %d\r\nDELE %d\r\n" % (n, n) for n in range(1, 101)) + b"QUIT\r\n")
        received = client.file.read()
        expected = b""
        for body in letters:
            stuffed = (PREFIX + body).replace(b"\r\n.", b"\r\n..")
            expected += b"+OK %d octets\r\n" % (len(PREFIX) + len(body)) + stuffed + b".\r\n+OK\r\n"
        assert received == expected + b"+OK Bye\r\n"
        assert host.kept() == []

    await in_thread(pipeline)


async def _soon(is_true: Callable[[], bool]) -> None:
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    for _ in range(100):
        if is_true():
            return
        pause: Deferred[None] = deferLater(reactor, 0.05)  # type: ignore[arg-type]
        await pause
    raise AssertionError("not within 5 s")
