"""The pages of domains."""

from admin_ui.core.panel import Panel
from mailstack.management import accounts, domains
from tests.panel.conftest import ROOT, Browsers


def names(panel: Panel) -> list[str]:
    return [view.name for view in panel.database.read_now(lambda connection: domains.find(connection, ROOT))]


def test_add_change_and_remove(panel: Panel, browser: Browsers) -> None:
    root = browser("root")
    answer = root.post("/domains/add", data={"name": "bücher.test", "kind": "local"}, follow_redirects=True)
    assert "Mail to bücher.test is taken from now on." in answer.text
    assert "Add a catch-all" in answer.text
    location = "/domains/xn--bcher-kva.test"
    terms = {"kind": "local", "expire_days": "30", "login_delay_seconds": ""}
    assert "after 30 days" in root.post(f"{location}/change", data=terms, follow_redirects=True).text
    assert "no accounts and no aliases" in root.get(f"{location}/remove").text
    root.post(f"{location}/remove")
    assert names(panel) == ["example.test", "other.test"]


def test_what_is_refused_stands_at_its_field(browser: Browsers) -> None:
    root = browser("root")
    for data, told in (
        ({"name": "nodots", "kind": "local"}, "not a full domain name"),
        ({"name": "example.test", "kind": "local"}, "is there already"),
        ({"name": "new.test", "kind": "relay"}, "needs the host"),
        ({"name": "new.test", "kind": "local", "expire_days": "-1"}, "Give days"),
        ({"name": "", "kind": "local"}, "Give the domain"),
    ):
        answer = root.post("/domains/add", data=data)
        assert answer.status_code == 200
        assert told in answer.text
        assert 'aria-invalid="true"' in answer.text


def test_a_domain_with_accounts_goes_when_its_name_is_typed(panel: Panel, browser: Browsers) -> None:
    root = browser("root")
    page = root.get("/domains/example.test/remove").text
    assert "It deletes 1 account with 0 messages" in page
    assert "olga runs this domain" in page
    assert "type its name" in root.post("/domains/example.test/remove", data={"name": "other.test"}).text
    assert "example.test" in names(panel)
    root.post("/domains/example.test/remove", data={"name": "Example.test"})
    assert names(panel) == ["other.test"]
    assert panel.database.read_now(lambda connection: accounts.count(connection, ROOT)) == 0


def test_a_domain_administrator_sees_and_changes_only_what_is_theirs(browser: Browsers) -> None:
    olga = browser("olga")
    listed = olga.get("/domains/").text
    assert "example.test" in listed
    assert "other.test" not in listed
    assert "Add a domain" not in listed
    assert olga.get("/domains/other.test").status_code == 403
    assert olga.get("/domains/example.test/change").status_code == 403
    assert olga.get("/domains/absent.test").status_code == 403
    assert browser("root").get("/domains/absent.test").status_code == 404


def test_search(browser: Browsers) -> None:
    root = browser("root")
    assert "other.test" not in root.get("/domains/?search=example").text
    assert "No domain has “zzz”" in root.get("/domains/?search=zzz").text
