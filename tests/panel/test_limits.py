"""The limits' pages: rules with their bars, setting and removing, what is held, freezing; and who may."""

import pytest

from admin_ui.core.panel import Panel
from mailstack.management import accounts, limits
from mailstack.policy.limits import Over, Per, Rule
from mailstack.store.database import Connection
from mailstack.store.schema import account, usage
from tests.panel.conftest import ROOT, Browsers
from tests.store.spooled import put_message

ANN = "ann@example.test"


@pytest.fixture
def held(panel: Panel) -> None:
    """Ann has a rule of 10 recipients a day, has sent 9, and one mail of hers is held."""

    def fill(connection: Connection) -> None:
        limits.set_rule(connection, ROOT, Rule(ANN, Per.DAY, None, 10, Over.HOLD, first_time=5))
        number, _ = accounts.number_of(connection, ROOT, ANN)
        domain_id = connection.execute(account.select().where(account.c.id == number)).one().domain_id
        now = limits.now_micros() // 1_000_000
        row = {"account_id": number, "domain_id": domain_id, "second": now, "messages": 3, "recipients": 9}
        connection.execute(usage.insert().values(**row, first_time=1))
        why = {"state": "held", "held_by": "limit: 10 recipients per day for ann@example.test", "held_for": number}
        put_message(connection, "M1", ["bob@far.example"], reverse_path=ANN, submitter_id=number, **why)

    panel.database.write_now(fill)


def test_each_rule_has_its_bar(held: None, browser: Browsers) -> None:
    page = browser("olga").get("/limits/").text
    assert "9 of 10" in page
    assert "1 of 5" in page
    assert "limit: 10 recipients per day" in page
    assert page.count("<meter") == 2
    assert ANN not in browser("sven").get("/limits/").text
    assert "9 of 10" in browser("olga").get(f"/limits/of/{ANN}").text


def test_a_rule_is_set_changed_and_removed(browser: Browsers, panel: Panel) -> None:
    root = browser("root")
    form = {"scope": "each@example.test", "per": "hour", "recipients": "50", "over": "hold"}
    assert (
        "50 recipients per hour for each@example.test"
        in root.post("/limits/set", data=form, follow_redirects=True).text
    )
    assert 'value="50"' in root.get("/limits/set?scope=each@example.test&per=hour").text
    root.post("/limits/set", data={**form, "recipients": "", "messages": "7"})
    [use] = panel.database.read_now(lambda connection: limits.show(connection, ROOT, "each@example.test"))
    assert (use.rule.messages, use.rule.recipients, use.rule.over) == (7, None, Over.HOLD)
    assert "At most 7 messages" in root.get("/limits/clear?scope=each@example.test&per=hour").text.replace(
        "at most", "At most"
    )
    root.post("/limits/clear?scope=each@example.test&per=hour")
    assert panel.database.read_now(lambda connection: limits.show(connection, ROOT, "each@example.test")) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipients": ""}, "needs a cap"),
        ({"recipients": "-1"}, "Give a number"),
        ({"recipients": "many"}, "Not a valid integer"),
        ({"scope": "nonsense"}, "is no scope"),
        ({"scope": "nobody@example.test"}, "is not an account"),
        ({"scope": ""}, "Say for whom"),
        ({"per": "message", "messages": "3"}, "caps its recipients"),
    ],
)
def test_what_cannot_be_is_said_beside_the_field(browser: Browsers, change: dict[str, str], words: str) -> None:
    form = {"scope": ANN, "per": "hour", "recipients": "50", "over": "refuse", **change}
    answer = browser("root").post("/limits/set", data=form)
    assert (answer.status_code, words in answer.text) == (200, True)


def test_a_domain_administrator_sets_accounts_limits_only(browser: Browsers) -> None:
    form = {"per": "hour", "recipients": "50", "over": "refuse"}
    olga = browser("olga")
    assert olga.post("/limits/set", data={**form, "scope": ANN}).status_code == 303
    assert "superadministrators only" in olga.post("/limits/set", data={**form, "scope": "*"}).text
    assert "not one of your domains" in olga.post("/limits/set", data={**form, "scope": "each@other.test"}).text


def test_freeze_unfreeze_and_drop(held: None, browser: Browsers, panel: Panel) -> None:
    olga = browser("olga")
    assert "Say why" in olga.post(f"/limits/of/{ANN}/freeze", data={"why": ""}).text
    page = olga.post(f"/limits/of/{ANN}/freeze", data={"why": "a burst"}, follow_redirects=True).text
    assert "Frozen: a burst." in page
    assert "a burst" in olga.get("/limits/").text
    page = olga.post(f"/limits/of/{ANN}/unfreeze", follow_redirects=True).text
    assert "sends again" in page
    assert "Frozen:" not in page
    assert "1 deliveries end as failed" in olga.get(f"/limits/of/{ANN}/drop").text
    assert "1 held delivery dropped" in olga.post(f"/limits/of/{ANN}/drop", follow_redirects=True).text
    assert browser("sven").get(f"/limits/of/{ANN}").status_code == 403
    assert browser("sven").post(f"/limits/of/{ANN}/unfreeze").status_code == 403


def test_no_rules_is_said(browser: Browsers) -> None:
    assert "There are no limits" in browser("root").get("/limits/").text
    assert "No rule matches" in browser("root").get("/limits/?search=zzz").text
    assert browser("root").get("/limits/clear?scope=*&per=day").status_code == 404
