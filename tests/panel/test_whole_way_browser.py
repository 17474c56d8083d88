"""In a real browser, in one go: from an empty host to a mail that a limit held, let go, and delivered."""

import re
import time
from pathlib import Path

import pytest

from tests.host import Host, wait_until
from tests.panel.conftest import PASSWORD
from tests.panel.eyes import Eyes, open_eyes
from tests.panel.test_first_steps_browser import add_app, sign_in_with_app

pytestmark = pytest.mark.lab
ANN, BEN = "ann@example.test", "ben@example.test"


def test_from_the_set_up_to_a_mail_delivered(tmp_path: Path) -> None:
    with Host(tmp_path / "host").init().start() as host:
        link = re.search(r"^set-up: https://\S+(/setup\?token=\S+)$", host.out_text(), re.MULTILINE)
        assert link
        with open_eyes(f"https://localhost:{host.ports['https']}") as eyes:
            eyes.go(link[1])
            eyes.fill(Your_name="root", Password=PASSWORD)
            eyes.press("Begin")
            eyes.sees("There is no domain yet")
            sign_in_with_app(eyes, add_app(eyes))
            add_people(eyes)
            limit(eyes)
            host.passwords |= {ANN: PASSWORD, BEN: PASSWORD}
            time.sleep(1)  # what the panel changes takes effect within a second: the limit, too
            wait_until(lambda: submitted(host), "the server knows the account", every=0.2)
            queue_id = host.submit(ANN, [BEN])
            let_go(eyes)
            wait_until(lambda: "delivered" in host.events(queue_id), "the released mail is delivered")
            eyes.go(f"/trace/{queue_id}")
            for event in ("Held", "Released", "Delivered"):
                eyes.sees(event)
        assert len(host.wait_for_mail(BEN, 2)) == 2


def add_people(eyes: Eyes) -> None:
    eyes.follow("Domains")
    eyes.page.get_by_role("link", name="Add").first.click()
    eyes.fill(Domain="example.test")
    eyes.press("Add")
    eyes.sees("is taken from now on")
    for address in (ANN, BEN):
        eyes.go("/accounts/add")
        eyes.fill(Address=address, Password=PASSWORD)
        eyes.press("Add")
        eyes.sees("is an account now")


def limit(eyes: Eyes) -> None:
    eyes.go("/limits/")
    eyes.follow("Set a limit")
    eyes.fill(For_whom=ANN, At_most_so_many_recipients="1")
    eyes.page.get_by_label("is accepted, held").check()
    eyes.press("Set the limit")
    eyes.sees("At most 1 recipient per hour")


def submitted(host: Host) -> bool:
    """Whether a first mail, the one that the limit allows, was taken: the server knows of a change within a second."""
    try:
        host.submit(ANN, [BEN])
    except OSError:
        return False
    return True


def let_go(eyes: Eyes) -> None:
    eyes.follow("Home")
    eyes.sees("1 delivery is held")
    eyes.follow("See why; release or drop, or wait until the limits free")
    eyes.page.get_by_label(f"Pick the mail to {BEN}").check()
    eyes.press("Release")
    eyes.sees("1 delivery released.")
