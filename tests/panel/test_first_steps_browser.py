"""In a real browser: the first administrator signs in and looks around."""

from pathlib import Path

import pytest

from tests.host import Host
from tests.panel.conftest import PASSWORD
from tests.panel.eyes import open_eyes

pytestmark = pytest.mark.lab


def test_sign_in_and_look_around(tmp_path: Path) -> None:
    with Host(tmp_path / "host") as host:
        host.init()
        host.command("admin", "add", "root", "--password-stdin", stdin=f"{PASSWORD}\n")
        host.start()
        with open_eyes(f"http://127.0.0.1:{host.ports['http']}") as eyes:
            eyes.go("/")
            eyes.look("sign-in")
            eyes.fill(Name_or_address="root", Password=PASSWORD)
            eyes.press("Sign in")
            eyes.sees("Home")
            eyes.look("home")
            eyes.follow("Administrators")
            eyes.look("administrators")
