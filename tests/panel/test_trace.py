"""Where is my mail: the search, the timeline, the words explained, and who sees what."""

import pytest

from admin_ui.core.panel import Panel
from mailstack.store.database import Connection
from mailstack.store.timeline import event_row, record_events
from tests.panel.conftest import Browsers
from tests.store.spooled import SECOND, START, put_message


@pytest.fixture
def mail(panel: Panel) -> None:
    def fill(connection: Connection) -> None:
        put_message(connection, "M1", ["bob@far.example"], reverse_path="ann@example.test", state="failed")
        put_message(connection, "M2", ["eve@far.example"], reverse_path="x@other.test")
        words = "mx.far.example said: 550 5.1.1 no such user <script>alert(1)</script>"
        rows = [
            event_row("M1", START, "accepted", "", "from 192.0.2.1"),
            event_row("M1", START + SECOND, "failed", "bob@far.example", words),
        ]
        record_events(connection, rows)

    panel.database.write_now(fill)


def test_the_timeline_explains_what_went_wrong(mail: None, browser: Browsers) -> None:
    page = browser("root").get("/trace/M1").text
    assert "550 5.1.1 no such user &lt;script&gt;" in page
    assert "The other host has no mailbox of this name." in page
    assert "2026-05-01 12:00:01 UTC" in page


@pytest.mark.parametrize("query", ["ann@example.test", "bob@far.example", "m1"])
def test_the_search_finds_it(mail: None, browser: Browsers, query: str) -> None:
    page = browser("olga").get("/trace/", query_string={"search": query}).text
    assert "/trace/M1" in page
    assert "failed" in page


def test_others_mail_is_not_there(mail: None, browser: Browsers) -> None:
    assert browser("olga").get("/trace/M2").status_code == 404
    assert browser("sven").get("/trace/M1").status_code == 404
    assert browser("root").get("/trace/M9").status_code == 404
    assert "/trace/M1" not in browser("sven").get("/trace/?search=ann@example.test").text


def test_before_a_search_and_after_a_vain_one(browser: Browsers) -> None:
    assert "Type whom the mail was from or to" in browser("root").get("/trace/").text
    assert "No message that you may see" in browser("root").get("/trace/?search=nobody@x.example").text
