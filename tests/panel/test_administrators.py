"""The pages of administrators."""

from admin_ui.core.panel import Panel
from mailstack.management import administrators
from tests.panel.conftest import PASSWORD, ROOT, Browsers


def names(panel: Panel) -> list[str]:
    return [one.name for one in panel.database.read_now(lambda connection: administrators.find(connection, ROOT))]


def test_add_and_remove(panel: Panel, browser: Browsers) -> None:
    root = browser("root")
    added = {"name": "paul", "password": PASSWORD, "domains": "example.test other.test"}
    answer = root.post("/administrators/add", data=added, follow_redirects=True)
    assert "paul is an administrator now." in answer.text
    assert "example.test, other.test" in answer.text
    assert "paul" in names(panel)
    assert "signed out everywhere" in root.get("/administrators/paul/remove").text
    assert "paul" in names(panel)
    root.post("/administrators/paul/remove")
    assert "paul" not in names(panel)


def test_what_is_refused_stands_at_its_field(panel: Panel, browser: Browsers) -> None:
    answer = browser("root").post("/administrators/add", data={"name": "olga", "password": PASSWORD})
    assert answer.status_code == 200
    assert "olga is an administrator already" in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_a_lost_second_step(browser: Browsers) -> None:
    root = browser("root")
    assert "Apps, passkeys and recovery codes" in root.get("/administrators/olga/unlock").text
    answer = root.post("/administrators/olga/unlock", follow_redirects=True)
    assert "olga signs in with the password alone." in answer.text
    assert "removed with your password" in root.post("/administrators/root/unlock", follow_redirects=True).text


def test_nobody_there(browser: Browsers) -> None:
    answer = browser("root").post("/administrators/nemo/remove", follow_redirects=True)
    assert "nemo is not an administrator" in answer.text
