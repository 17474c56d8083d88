"""The HTTP API of a running host: a mail sent by a program is a submission like any other."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailstack.config_file import load_config
from mailstack.management import sign_in, tokens
from mailstack.store.database import Connection, Database
from tests.host import Host, wait_until

ALICE, BOB = "alice@example.test", "bob@example.test"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Host(tmp_path_factory.mktemp("api")).init() as host:
        host.add_domain("example.test")
        for address in (ALICE, BOB):
            host.add_account(address)
        host.command("limit", "set", BOB, "--per", "day", "--recipients", "0")
        yield host.start()


def token_of(host: Host, name: str) -> str:
    config = load_config(host.config, {})

    def work(connection: Connection) -> str:
        found = sign_in.find_person(connection, name)
        assert found is not None
        return tokens.create(connection, found[0].actor("tests"), found[0], "tests", tokens.SCOPES, None)

    database = Database.open(config.database, Path(config.data))
    try:
        return database.write_now(work)
    finally:
        database.close()


def call(host: Host, token: str, path: str, body: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://{host.address}:{host.ports['http']}/api/v1{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_mail_is_sent_traced_and_fetched(host: Host) -> None:
    token = token_of(host, ALICE)
    mail = {"from": f"Alice <{ALICE}>", "to": [f"Bob <{BOB}>"], "subject": "Grüße", "text": "Guten Tag.\n"}
    status, said = call(host, token, "/messages", mail)
    assert (status, said["recipients"]) == (202, 1)
    assert host.events(said["id"]) == ["accepted", "delivered"]
    [fetched] = host.wait_for_mail(BOB)
    assert b"\r\nFrom: Alice <alice@example.test>\r\n" in fetched
    assert b"Received: from authenticated-user" in fetched
    assert b"\r\nDate: " in fetched
    wait_until(lambda: call(host, token, f"/trace?search={said['id']}")[1], "the API's own trace")


def test_names_and_limits_are_those_of_submission(host: Host) -> None:
    mail = {"from": ALICE, "to": [ALICE], "subject": "x", "text": "y"}
    status, said = call(host, token_of(host, BOB), "/messages", mail)
    assert (status, "does not belong" in said["error"]) == (409, True)
    status, said = call(host, token_of(host, BOB), "/messages", {**mail, "from": BOB})
    assert (status, "sending limit" in said["error"]) == (429, True)
