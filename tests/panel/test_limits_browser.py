"""In a browser: a limit is set, exceeded over SMTP, what it holds is seen and released; the timeline tells it all."""

import time
from pathlib import Path

import pytest

from tests.host import Host, wait_until
from tests.panel.conftest import PASSWORD
from tests.panel.eyes import Eyes, open_eyes

pytestmark = pytest.mark.lab
ANN, BEN = "ann@example.test", "ben@example.test"


def test_a_limit_from_its_rule_to_the_mail_it_held(tmp_path: Path) -> None:
    with Host(tmp_path / "host").init() as host:
        host.command("admin", "add", "root", "--password-stdin", stdin=f"{PASSWORD}\n")
        host.add_domain("example.test")
        for address in (ANN, BEN):
            host.add_account(address)
        host.start()
        with open_eyes(f"http://127.0.0.1:{host.ports['http']}") as eyes:
            eyes.go("/sign-in")
            eyes.fill(Name_or_address="root", Password=PASSWORD)
            eyes.press("Sign in")
            set_limit(eyes)
            queue_id = exceed(host)
            see_it_held(eyes)
            see_it_in_the_queue(eyes)
            release(eyes)
            wait_until(lambda: "delivered" in host.events(queue_id), "the released mail is delivered")
            read_its_story(eyes, queue_id)
            look_at_tokens(eyes)
        assert len(host.fetch(BEN)) == 2


def set_limit(eyes: Eyes) -> None:
    eyes.follow("Limits")
    eyes.look("limits")
    eyes.follow("Set a limit")
    eyes.press("Set the limit")
    eyes.sees("Say for whom")
    eyes.look("limits-set")
    eyes.fill(For_whom=ANN, At_most_so_many_recipients="1")
    eyes.page.get_by_label("is accepted, held").check()
    eyes.press("Set the limit")
    eyes.sees("At most 1 recipient per hour")


def exceed(host: Host) -> str:
    """Two mails where one is allowed; the ID of the second."""
    time.sleep(1)  # what the panel changes takes effect within a second
    host.submit(ANN, [BEN])
    queue_id = host.submit(ANN, [BEN])
    assert host.events(queue_id) == ["accepted", "held"]
    return queue_id


def see_it_held(eyes: Eyes) -> None:
    eyes.follow("Limits")
    eyes.sees("What is held")
    eyes.sees("1 of 1")
    eyes.look("limits-held")
    eyes.page.get_by_role("link", name=ANN).first.click()
    eyes.sees("Limits of ann@example.test")
    eyes.look("limits-of-account")


def see_it_in_the_queue(eyes: Eyes) -> None:
    eyes.follow("Look or release")
    eyes.sees("limit: 1 recipient per hour")
    eyes.look("queue-held")
    eyes.follow("By destination")
    eyes.look("queue-destinations")
    eyes.follow("Each delivery")


def release(eyes: Eyes) -> None:
    eyes.page.get_by_label("Pick the mail to ben@example.test").check()
    eyes.press("Release")
    eyes.sees("1 delivery released.")
    eyes.look("queue-empty")


def read_its_story(eyes: Eyes, queue_id: str) -> None:
    eyes.follow("Where is my mail?")
    eyes.look("trace-empty")
    eyes.page.get_by_role("searchbox").fill(ANN)
    eyes.press("Search")
    eyes.page.locator("tbody th a").first.wait_for()
    eyes.look("trace")
    eyes.go(f"/trace/{queue_id}")
    eyes.sees("Released")
    eyes.sees("Delivered")
    eyes.look("trace-show")


def look_at_tokens(eyes: Eyes) -> None:
    eyes.follow("API tokens")
    eyes.look("tokens-empty")
    eyes.go("/tokens/add")
    eyes.look("tokens-add")
    eyes.fill(**{"What is it for?": "a shop"})
    eyes.page.get_by_label("messages: send").check()
    eyes.press("Make the token")
    eyes.sees("It is shown this once")
    eyes.look("tokens-show")
    eyes.follow("I have it")
    eyes.look("tokens")
    eyes.go("/tokens/examples")
    eyes.look("tokens-examples")
