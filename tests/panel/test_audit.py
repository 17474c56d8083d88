"""The page of the audit log."""

from admin_ui.core.panel import Panel
from mailstack.management import accounts
from tests.panel.conftest import ROOT, Browsers


def test_an_owner_sees_who_touched_the_account(panel: Panel, browser: Browsers) -> None:
    panel.database.write_now(lambda connection: accounts.set_quota(connection, ROOT, "ann@example.test", 1000))
    for who, sees in (("root", True), ("olga", True), ("ann", True), ("sven", False)):
        page = browser(who).get("/audit/?what=account&about=ann@").text
        assert ("account.quota" in page) is sees
        assert ("Nothing like that was done." in page) is not sees


def test_pages(panel: Panel, browser: Browsers) -> None:
    for number in range(1, 61):
        panel.database.write_now(lambda c, n=number: accounts.set_quota(c, ROOT, "ann@example.test", n))  # type: ignore[misc]
    client = browser("root")
    first = client.get("/audit/?what=account").text
    following = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert first.count("<tr>") == 51
    assert client.get(following).text.count("<tr>") == 12  # ten, the account's making, and the head
    assert "First page" in client.get(following).text
