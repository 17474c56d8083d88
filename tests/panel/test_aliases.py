"""The pages of aliases."""

from admin_ui.core.panel import Panel
from mailstack.management import aliases
from tests.panel.conftest import ROOT, Browsers


def targets(panel: Panel, address: str) -> list[str]:
    view = panel.database.read_now(lambda connection: aliases.get(connection, ROOT, address))
    return [str(target) for target in view.targets]


def test_add_change_and_remove(panel: Panel, browser: Browsers) -> None:
    olga = browser("olga")
    added = {"address": "info@example.test", "targets": "ann@example.test\nsam@far.test"}
    answer = olga.post("/aliases/add", data=added, follow_redirects=True)
    assert "info@example.test is an alias now." in answer.text
    assert "is an alias already" in olga.post("/aliases/add", data=added).text
    assert targets(panel, "info@example.test") == ["ann@example.test", "sam@far.test"]
    here = "/aliases/info@example.test"
    assert "sam@far.test" in olga.get(f"{here}/change").text
    olga.post(f"{here}/change", data={"targets": "sam@far.test, eve@far.test"})
    assert targets(panel, "info@example.test") == ["eve@far.test", "sam@far.test"]
    assert "is refused from then on" in olga.get(f"{here}/remove").text
    olga.post("/aliases/add", data={"address": "@example.test", "targets": "ann@example.test"})
    assert "caught by the catch-all" in olga.get(f"{here}/remove").text
    olga.post(f"{here}/remove")
    listed = olga.get("/aliases/").text
    assert 'Change info@example.test"' not in listed
    assert "catch-all" in listed


def test_the_catch_all_on_its_domains_page(browser: Browsers) -> None:
    root = browser("root")
    assert 'value="@example.test"' in root.get("/aliases/add?address=@example.test").text
    root.post("/aliases/add", data={"address": "@example.test", "targets": "ann@example.test"})
    assert "Change the catch-all" in root.get("/domains/example.test").text
    assert "that nobody has is refused" in root.get("/aliases/@example.test/remove").text


def test_what_is_refused_stands_at_its_field(browser: Browsers) -> None:
    olga = browser("olga")
    for data, told in (
        ({"address": "ann@example.test", "targets": "sam@far.test"}, "is an account already"),
        ({"address": "info@example.test", "targets": ""}, "Name one address"),
        ({"address": "info@example.test", "targets": "nobody"}, "not an address"),
        ({"address": "info@other.test", "targets": "sam@far.test"}, "not one of your domains"),
    ):
        answer = olga.post("/aliases/add", data=data)
        assert told in answer.text
        assert 'aria-invalid="true"' in answer.text


def test_others_aliases_are_shut(browser: Browsers) -> None:
    browser("root").post("/aliases/add", data={"address": "info@other.test", "targets": "sam@far.test"})
    olga = browser("olga")
    assert "info@other.test" not in olga.get("/aliases/").text
    assert olga.get("/aliases/info@other.test/change").status_code == 403
    assert olga.get("/aliases/info@other.test/remove").status_code == 403
