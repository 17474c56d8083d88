"""In a real browser: set-up, a second step, a passkey, and a look at each page that an administrator comes to first."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest

from tests.host import Host
from tests.panel.conftest import PASSWORD
from tests.panel.eyes import Eyes, open_eyes

pytestmark = pytest.mark.lab


def test_first_steps(tmp_path: Path) -> None:
    with Host(tmp_path / "host") as host:
        host.init().start()
        found = re.search(r"^set-up: https://\S+(/setup\?token=\S+)$", host.out_text(), re.MULTILINE)
        assert found, host.out_text()
        # localhost, for browsers hand passkeys to no bare address
        with open_eyes(f"http://localhost:{host.ports['http']}") as eyes:
            set_up(eyes, found[1])
            look_around(eyes)
            secret = add_app(eyes)
            sign_in_with_app(eyes, secret)
            sign_in_with_passkey(eyes)


def set_up(eyes: Eyes, path: str) -> None:
    eyes.go("/sign-in")
    eyes.sees("no administrator yet")
    eyes.look("sign-in-empty")
    eyes.go(path)
    eyes.look("set-up")
    eyes.fill(Your_name="root", Password=PASSWORD)
    eyes.press("Begin")
    eyes.sees("Administrators")


def look_around(eyes: Eyes) -> None:
    eyes.look("home-empty")
    eyes.follow("Administrators")
    eyes.look("administrators")
    eyes.follow("Add an administrator")
    eyes.press("Add")
    eyes.sees("Give the name")
    eyes.look("administrators-add")
    eyes.fill(Name="olga", Password=PASSWORD)
    eyes.press("Add")
    eyes.sees("olga is an administrator now.")
    eyes.go("/administrators/olga/remove")
    eyes.look("administrators-remove")
    eyes.press("Remove")
    eyes.sees("olga is no administrator any more.")
    eyes.follow("Audit")
    eyes.look("audit")


def add_app(eyes: Eyes) -> str:
    eyes.go("/security/")
    eyes.look("security")
    eyes.follow("Add an app")
    eyes.look("security-app")
    secret: str = eyes.page.locator(".secret").inner_text()
    eyes.fill(Code_that_the_app_shows=code_of(secret, -1), Name_of_the_device="phone", Present_password=PASSWORD)
    eyes.press("Add the app")
    eyes.sees("Your recovery codes")
    eyes.look("security-codes")
    eyes.follow("I have kept them")
    eyes.sees("10 left")
    return secret


def sign_in_with_app(eyes: Eyes, secret: str) -> None:
    eyes.press("Sign out")
    eyes.look("sign-in")
    eyes.fill(Name_or_address="root", Password=PASSWORD)
    eyes.press("Sign in")
    eyes.sees("Second step")
    eyes.look("sign-in-code")
    eyes.fill(Code=code_of(secret))
    eyes.press("Go on")
    eyes.sees("Home")


def sign_in_with_passkey(eyes: Eyes) -> None:
    eyes.plug_in_passkey()
    eyes.go("/security/passkey")
    eyes.look("security-passkey")
    eyes.fill(Name_of_the_passkey="key ring", Present_password=PASSWORD)
    eyes.press("Add the passkey")
    eyes.sees("you can sign in with it alone")
    eyes.look("security-full")
    eyes.press("Sign out")
    eyes.press("Use a passkey")
    eyes.sees("Home")


def code_of(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(datetime.now(UTC) + steps * timedelta(seconds=30))
