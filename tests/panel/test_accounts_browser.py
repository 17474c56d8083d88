"""In a real browser: a domain, its accounts and aliases from the first to the last, and the owner of one of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import Host, letter
from tests.panel.conftest import PASSWORD
from tests.panel.eyes import Eyes, open_eyes

pytestmark = pytest.mark.lab
ANN, BEN = "ann@example.test", "ben@example.test"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A running host with the administrator root."""
    with Host(tmp_path / "host").init() as host:
        host.command("admin", "add", "root", "--password-stdin", stdin=f"{PASSWORD}\n")
        yield host.start()


def sign_in(eyes: Eyes, name: str, password: str = PASSWORD) -> None:
    eyes.go("/sign-in")
    eyes.fill(Name_or_address=name, Password=password)
    eyes.press("Sign in")


def test_from_a_domain_to_its_end(host: Host) -> None:
    with open_eyes(f"http://127.0.0.1:{host.ports['http']}") as eyes:
        sign_in(eyes, "root")
        add_domain(eyes)
        add_account(eyes)
        host.passwords[ANN] = PASSWORD
        host.submit(ANN, [ANN], letter(ANN, ANN, text="x" * 60_000))
        change_account(eyes)
        import_accounts(eyes)
        add_aliases(eyes)
        remove_all(eyes)


def add_domain(eyes: Eyes) -> None:
    eyes.follow("Domains")
    eyes.sees("No domain yet")
    eyes.look("domains-empty")
    eyes.go("/domains/add")
    eyes.press("Add")
    eyes.sees("Give the domain")
    eyes.look("domains-add")
    eyes.fill(Domain="example.test")
    eyes.press("Add")
    eyes.sees("is taken from now on")
    eyes.look("domains-show")
    eyes.follow("Change")
    eyes.fill(Mail_expires_after="365")
    eyes.press("Change")
    eyes.sees("after 365 days")
    eyes.follow("Domains")
    eyes.look("domains")


def add_account(eyes: Eyes) -> None:
    eyes.go("/accounts/")
    eyes.look("accounts-empty")
    eyes.go("/accounts/add")
    eyes.look("accounts-add")
    eyes.fill(Address=ANN, Password=PASSWORD, Quota="100K")
    eyes.press("Add")
    eyes.sees("is an account now")
    eyes.follow("Accounts")
    eyes.follow("Add an account")
    eyes.fill(Address="eve@example.test")
    eyes.press("Add")
    eyes.sees("It is shown this once")
    eyes.look("accounts-password")
    eyes.follow("Done")


def change_account(eyes: Eyes) -> None:
    eyes.go(f"/accounts/{ANN}")
    eyes.look("accounts-show")
    eyes.follow("Quota")
    eyes.fill(Quota="64K")
    eyes.press("Set")
    eyes.sees("has a new quota")
    eyes.follow("Suspend")
    eyes.look("accounts-suspend")
    eyes.press("Suspend")
    eyes.sees("is suspended.")
    eyes.go("/accounts/")
    eyes.look("accounts")
    eyes.go(f"/accounts/{ANN}")
    eyes.press("Resume")
    eyes.sees("is active again")


def import_accounts(eyes: Eyes) -> None:
    eyes.go("/accounts/import")
    people = "".join(f"p{number:02}@example.test,{PASSWORD},1G\n" for number in range(60))
    eyes.fill(Or_its_lines=f"{people}{ANN},{PASSWORD}\nx@absent.test,{PASSWORD}\n")
    eyes.press("Try it without a change")
    eyes.sees("60 of 62 accounts can be made")
    eyes.look("accounts-import")
    eyes.press("Import 60 accounts")
    eyes.sees("60 of 62 accounts are made.")
    eyes.look("accounts-imported")
    eyes.go("/accounts/")
    eyes.follow("Next page")
    eyes.sees("p59@example.test")
    eyes.page.get_by_label("Search accounts").fill("p17@ex")
    eyes.press("Search")
    eyes.sees("1 account found")


def add_aliases(eyes: Eyes) -> None:
    eyes.follow("Aliases")
    eyes.look("aliases-empty")
    eyes.go("/aliases/add")
    eyes.fill(Alias="info@example.test", Targets=f"{ANN}\nsam@far.test")
    eyes.look("aliases-add")
    eyes.press("Add")
    eyes.sees("is an alias now")
    eyes.go("/domains/example.test")
    eyes.follow("Add a catch-all")
    eyes.fill(Targets=ANN)
    eyes.press("Add")
    eyes.look("aliases")
    eyes.page.get_by_label("Remove info@example.test").click()
    eyes.sees("caught by the catch-all")
    eyes.look("aliases-remove")
    eyes.press("Remove")
    eyes.sees("is no alias any more")


def remove_all(eyes: Eyes) -> None:
    eyes.go(f"/accounts/{ANN}/remove")
    eyes.sees("This cannot be undone")
    eyes.look("accounts-remove")
    eyes.go("/domains/example.test/remove")
    eyes.sees("It deletes 62 accounts with 1 message")
    eyes.look("domains-remove")
    eyes.fill(**{"Type the domain's name to remove it": "example.test"})
    eyes.press("Remove")
    eyes.sees("with all that was in it")


def test_an_owners_own_account(host: Host) -> None:
    host.add_domain("example.test")
    host.add_account(ANN, "--quota", "1M")
    host.add_account(BEN)
    with open_eyes(f"http://127.0.0.1:{host.ports['http']}") as eyes:
        sign_in(eyes, ANN)
        eyes.sees("My mailbox")
        eyes.look("me")
        eyes.follow("Change forwards")
        eyes.fill(Send_mail_on_to=BEN)
        eyes.look("me-forwards")
        eyes.press("Set")
        eyes.sees("Mail is sent on.")
        eyes.follow("Set the vacation reply")
        eyes.fill(Text="I am back in May.\nAnn", Last_day="2099-05-01")
        eyes.look("me-vacation")
        eyes.press("Set")
        eyes.sees("The vacation reply is set.")
        eyes.follow("Manage app passwords")
        eyes.look("me-app-passwords-empty")
        eyes.fill(Name="phone")
        eyes.press("Make it")
        eyes.sees("it is shown this once")
        host.passwords[ANN] = eyes.page.locator(".once code").inner_text()
        assert host.fetch(ANN) == []
        eyes.look("me-app-passwords")
        eyes.page.get_by_label("Revoke phone").click()
        eyes.press("Revoke")
        eyes.sees("is void")
        eyes.follow("My account")
        eyes.look("me-set")
        eyes.follow("Change my password")
        eyes.fill(Present_password=PASSWORD, New_password="another password")
        eyes.look("me-password")
        eyes.press("Change")
        eyes.sees("You have a new password.")
        host.passwords[ANN] = "another password"
        assert host.fetch(ANN) == []
