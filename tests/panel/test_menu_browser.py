"""In a real browser: every page of the menu, as each role, on a host with some mail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import Host
from tests.panel.conftest import PASSWORD
from tests.panel.eyes import open_eyes

pytestmark = pytest.mark.lab

PEOPLE = ("root", "olga", "ann@example.test")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Administrators root and olga, accounts ann@ and ben@; a mail arrived, another waits for a host nobody finds."""
    settings = {"outbound": {"nameservers": ["127.0.0.1:9"]}, "smtp": {"check_sender_domain": False}}
    with Host(tmp_path / "host", settings=settings).init() as host:
        host.add_domain("example.test")
        host.add_account("ann@example.test", "--quota", "1M", password=PASSWORD)
        host.add_account("ben@example.test", password=PASSWORD)
        host.command("admin", "add", "root", "--password-stdin", stdin=f"{PASSWORD}\n")
        host.command("admin", "add", "olga", "--domain", "example.test", "--password-stdin", stdin=f"{PASSWORD}\n")
        host.start()
        host.submit("ann@example.test", ["ben@example.test", "far@elsewhere.test"])
        yield host


@pytest.mark.parametrize("name", PEOPLE)
def test_every_page_of_the_menu(host: Host, name: str) -> None:
    with open_eyes(f"http://localhost:{host.ports['http']}") as eyes:
        eyes.go("/sign-in")
        eyes.fill(Name_or_address=name, Password=PASSWORD)
        eyes.press("Sign in")
        menu = eyes.page.locator("nav[aria-label=Main] a")
        menu.first.wait_for()
        places = [menu.nth(number).get_attribute("href") for number in range(menu.count())]
        assert len(places) > 1
        for place in [*places, "/security/"]:
            eyes.go(place)
            assert eyes.page.locator("h1").count() == 1
            eyes.look(f"{name.partition('@')[0]}{place.rstrip('/').replace('/', '-')}")
