"""The panel on an empty host, and browsers (Flask's test client) signed in as each role.

`example.test` has the account `ann@`; `root` runs everything, `olga` runs `example.test`, `sven` runs `other.test`,
`ann@example.test` owns her account, `nobody` has not signed in.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from admin_ui.app import create_app
from admin_ui.core.access import COOKIE
from admin_ui.core.panel import Panel
from mailstack.config import Config
from mailstack.management import accounts, administrators, domains, sessions, sign_in
from mailstack.management.actor import Actor
from mailstack.management.acts import make_hashes
from mailstack.management.domains import DomainTerms
from mailstack.store.content import ContentStore
from mailstack.store.database import Connection, Database
from mailstack.store.passwords import PasswordHashes

PASSWORD = "correct horse battery"
ROOT = Actor("tests", "command line", all_domains=True)
PEOPLE = {"root": "root", "olga": "olga", "sven": "sven", "ann": "ann@example.test"}
Browsers = Callable[[str], FlaskClient]


@pytest.fixture(scope="session")
def hashes() -> PasswordHashes:
    """Of PASSWORD."""
    return make_hashes(PASSWORD)


@pytest.fixture
def panel(database: Database, tmp_path: Path, hashes: PasswordHashes) -> Panel:
    def fill(connection: Connection) -> None:
        for name in ("example.test", "other.test"):
            domains.add(connection, ROOT, name, DomainTerms())
        accounts.add(connection, ROOT, "ann@example.test", hashes)
        administrators.add(connection, ROOT, "root", hashes.hash)
        administrators.add(connection, ROOT, "olga", hashes.hash, ("example.test",))
        administrators.add(connection, ROOT, "sven", hashes.hash, ("other.test",))

    database.write_now(fill)
    config = Config(hostname="mx.example.test", data=tmp_path)
    return Panel(database, ContentStore(tmp_path / "content", 65536), config)


@pytest.fixture
def app(panel: Panel) -> Flask:
    app = create_app(panel)
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False, PROPAGATE_EXCEPTIONS=False)
    return app


@pytest.fixture
def browser(app: Flask, panel: Panel) -> Browsers:
    """`browser("olga")` is a client that olga is signed in with; `browser("nobody")` one without a session."""

    def sign_in_as(who: str) -> FlaskClient:
        client = app.test_client()
        if who != "nobody":
            client.set_cookie(COOKIE, panel.database.write_now(lambda connection: _open(connection, PEOPLE[who])))
        return client

    return sign_in_as


def _open(connection: Connection, name: str) -> str:
    found: Any = sign_in.find_person(connection, name)
    return sessions.open_session(connection, found[0], "192.0.2.7", "a test")
