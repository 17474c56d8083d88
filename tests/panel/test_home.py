"""The first page of an administrator."""

import time

import pytest
from sqlalchemy import insert, select

from admin_ui.core.panel import Panel
from mailstack.management import limits
from mailstack.policy.limits import Over, Per, Rule
from mailstack.store.database import Connection
from mailstack.store.schema import account, tally, usage
from tests.panel.conftest import ROOT, Browsers


def test_what_is_wrong_comes_first_with_the_mend(browser: Browsers) -> None:
    page = browser("root").get("/home").text
    assert page.index("cert.pem") < page.index("Mail over the last day")
    assert "of the disk" not in browser("olga").get("/home").text
    assert "cert.pem" not in browser("olga").get("/home").text, "the machine is not hers"


@pytest.mark.parametrize("over", ["day", "week", "month", "nonsense"])
def test_pictures_of_each_period(panel: Panel, browser: Browsers, over: str) -> None:
    client = browser("root")
    assert "No mail in the last" in client.get(f"/home?over={over}").text
    row = {"hour": int(time.time()) // 3600 - 1, "domain_id": 0, "event": "delivered", "number": 1234}
    panel.database.write_now(lambda connection: connection.execute(insert(tally).values(row)))
    page = client.get(f"/home?over={over}").text
    assert page.count("<svg") == 5
    assert "<strong>1,234</strong>" in page
    assert page.count("<rect") == 1
    assert f"last {over if over != 'nonsense' else 'day'}" in page


def test_top_senders(panel: Panel, browser: Browsers) -> None:
    def send(connection: Connection) -> None:
        account_id, domain_id = connection.execute(select(account.c.id, account.c.domain_id)).one()
        counts = {"messages": 1, "recipients": 150, "first_time": 0}
        row = {"account_id": account_id, "domain_id": domain_id, "second": int(time.time()) - 60, **counts}
        connection.execute(insert(usage).values(row))
        limits.set_rule(connection, ROOT, Rule("*", Per.DAY, None, 200, Over.HOLD))

    assert "Nobody has sent anything." in browser("olga").get("/home").text
    panel.database.write_now(send)
    page = browser("olga").get("/home").text
    assert "75 % of 200 recipients per day for every account" in page
    assert "150 recipients" in page
    assert "Nobody has sent anything." in browser("sven").get("/home").text


def test_the_door(browser: Browsers) -> None:
    assert browser("olga").get("/").headers["Location"] == "/home"
    assert browser("ann").get("/").headers["Location"] in ("/me/", "/security/")
