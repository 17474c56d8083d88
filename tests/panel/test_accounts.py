"""The pages of accounts, and what accounts do by themselves: by administrators and by their owners."""

import io
import re

import pytest
from passlib.hash import sha512_crypt

from admin_ui.core import paging
from admin_ui.core.panel import Panel
from mailstack.management import accounts, app_passwords, forwards, freezing, limits, sign_in, vacations
from mailstack.management.accounts import AccountView
from mailstack.policy.limits import Over, Per, Rule
from mailstack.store.database import Connection
from tests.panel.conftest import PASSWORD, ROOT, Browsers

ANN = "ann@example.test"
OWN_PAGES = ("forwards", "vacation", "app-passwords")


def account(panel: Panel, address: str = ANN) -> AccountView:
    return panel.database.read_now(lambda connection: accounts.get(connection, ROOT, address))


def can_sign_in(panel: Panel, address: str, password: str) -> bool:
    found = panel.database.read_now(lambda connection: sign_in.find_person(connection, address))
    return sign_in.password_matches(found[1] if found else None, password)


def test_add_with_a_password_or_one_that_is_made(panel: Panel, browser: Browsers) -> None:
    olga = browser("olga")
    typed = {"address": "ben@example.test", "password": PASSWORD, "quota": "1.5G"}
    answer = olga.post("/accounts/add", data=typed, follow_redirects=True)
    assert "ben@example.test is an account now." in answer.text
    assert account(panel, "ben@example.test").quota_octets == 3 << 29
    made = olga.post("/accounts/add", data={"address": "eve@example.test"})
    found = re.search(r"<code>([a-z0-9-]{23})</code>", made.text)
    assert found
    assert can_sign_in(panel, "eve@example.test", found[1])
    assert found[1] not in olga.get("/accounts/eve@example.test").text


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"address": ""}, "Give the address"),
        ({"address": "ann"}, "not an address"),
        ({"address": ANN}, "is an account already"),
        ({"address": "x@other.test"}, "not one of your domains"),
        ({"address": "x@example.test", "password": "short"}, "characters"),
        ({"address": "x@example.test", "quota": "lots"}, "is not a size"),
    ],
)
def test_what_is_refused_stands_at_its_field(browser: Browsers, data: dict[str, str], told: str) -> None:
    answer = browser("olga").post("/accounts/add", data=data)
    assert answer.status_code == 200
    assert told in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_password_quota_and_state(panel: Panel, browser: Browsers) -> None:
    olga, here = browser("olga"), f"/accounts/{ANN}"
    olga.post(f"{here}/password", data={"password": "another password"})
    assert can_sign_in(panel, ANN, "another password")
    olga.post(f"{here}/quota", data={"quota": "2M"})
    assert 'value="2M"' in olga.get(f"{here}/quota").text
    olga.post(f"{here}/quota", data={"quota": ""})
    assert account(panel).quota_octets is None
    assert "can neither fetch nor send" in olga.get(f"{here}/suspend").text
    assert account(panel).state == "active"
    assert "suspended" in olga.post(f"{here}/suspend", follow_redirects=True).text
    assert account(panel).state == "suspended"
    olga.post(f"{here}/resume")
    assert account(panel).state == "active"


def test_removal_is_told_before(panel: Panel, browser: Browsers) -> None:
    root = browser("root")
    root.post("/aliases/add", data={"address": "info@example.test", "targets": ANN})
    page = root.get(f"/accounts/{ANN}/remove").text
    assert "The alias info@example.test goes too" in page
    assert account(panel)
    root.post(f"/accounts/{ANN}/remove")
    assert root.get(f"/accounts/{ANN}").status_code == 404


def test_pages_of_a_list_and_search(panel: Panel, browser: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("admin_ui.accounts.views.SIZE", 2)
    monkeypatch.setattr(paging, "SIZE", 2)
    monkeypatch.setattr("admin_ui.accounts.views.page", lambda rows, key: paging.page(rows, key, 2))
    root = browser("root")
    for name in ("b/b@example.test", "carl@other.test", "dora@other.test"):
        root.post("/accounts/add", data={"address": name, "password": PASSWORD}, follow_redirects=True)
    first = root.get("/accounts/").text
    assert "4 accounts" in first
    assert "carl@" not in first
    following = re.search(r'href="([^"]*after=[^"]*)" *>Next page|rel="next" href="([^"]*)"', first)
    assert following
    second = root.get((following[1] or following[2]).replace("&amp;", "&")).text
    assert "carl@other.test" in second
    assert "b/b@" not in second
    assert "carl@" in root.get("/accounts/?search=arl@oth").text
    assert "No account has “zzz”" in root.get("/accounts/?search=zzz").text
    assert "carl@" not in root.get("/accounts/?domain=example.test").text
    assert root.get("/accounts/b/b@example.test").status_code == 200
    assert root.get("/accounts/b/b@example.test/quota").status_code == 200


LIST = f"ben@example.test,{PASSWORD},1G\n{ANN},{PASSWORD},\n"


def test_an_import_is_tried_first_and_then_done(panel: Panel, browser: Browsers) -> None:
    olga = browser("olga")
    upload = {"file": (io.BytesIO(LIST.encode()), "people.csv"), "step": "try"}
    tried = olga.post("/accounts/import", data=upload, content_type="multipart/form-data").text
    assert "1 of 2 accounts can be made" in tried
    assert "is an account already" in tried
    assert PASSWORD in tried, "the list stands in the form for the second step"
    assert olga.get("/accounts/ben@example.test").status_code == 404
    done = olga.post("/accounts/import", data={"text": LIST, "step": "run"}).text
    assert "1 of 2 accounts are made." in done
    assert can_sign_in(panel, "ben@example.test", PASSWORD)


def test_lists_that_cannot_be_read(browser: Browsers) -> None:
    olga = browser("olga")
    upload = {"file": (io.BytesIO(b"b\xfcr@example.test,x"), "people.csv")}
    assert "not in UTF-8" in olga.post("/accounts/import", data=upload, content_type="multipart/form-data").text
    assert "there is no line" in olga.post("/accounts/import", data={"text": ""}).text.lower()


@pytest.mark.parametrize("who", ["ann", "olga", "root"])
def test_forwards_vacation_and_app_passwords(panel: Panel, browser: Browsers, who: str) -> None:
    person, here = browser(who), f"/accounts/{ANN}"
    home = "/me/" if who == "ann" else here
    answer = person.post(f"{here}/forwards", data={"targets": "sam@far.test\nben@far.test", "keeps_copy": "y"})
    assert answer.location == home
    assert "to ben@far.test, sam@far.test, a copy stays here" in person.get(home).text
    assert "itself" in person.post(f"{here}/forwards", data={"targets": ANN}).text
    away = {"subject": "Away", "body": "Back soon.", "first_day": "2026-12-24", "last_day": "2027-01-06"}
    assert person.post(f"{here}/vacation", data=away).location == home
    kept = panel.database.read_now(lambda connection: vacations.get(connection, ROOT, ANN))
    assert kept is not None
    assert (str(kept.starts_at), str(kept.ends_at)) == ("2026-12-24 00:00:00+00:00", "2027-01-07 00:00:00+00:00")
    page = person.get(f"{here}/vacation").text
    assert 'value="2027-01-06"' in page
    assert "until 2027-01-06" in person.get(home).text
    person.post(f"{here}/vacation/end")
    assert panel.database.read_now(lambda connection: vacations.get(connection, ROOT, ANN)) is None
    made = person.post(f"{here}/app-passwords", data={"name": "my phone"}).text
    assert re.search(r"<code>[a-z0-9-]{23}</code>", made)
    assert not re.search(r"<code>[a-z0-9-]{23}</code>", person.get(f"{here}/app-passwords").text)
    again = person.post(f"{here}/app-passwords", data={"name": "my phone"}).text
    assert "already" in again
    assert "All others go on" in person.get(f"{here}/app-passwords/my%20phone/revoke").text
    person.post(f"{here}/app-passwords/my%20phone/revoke")
    assert panel.database.read_now(lambda connection: app_passwords.find(connection, ROOT, ANN)) == []


@pytest.mark.parametrize("who", ["ann", "sven"])
def test_others_accounts_are_shut(panel: Panel, browser: Browsers, who: str) -> None:
    root = browser("root")
    for name in ("ben@example.test", "ben@other.test"):
        root.post("/accounts/add", data={"address": name, "password": PASSWORD})
    person, other = browser(who), "/accounts/ben@example.test"
    for page in OWN_PAGES:
        assert person.get(f"{other}/{page}").status_code == 403, page
    assert person.post(f"{other}/vacation/end").status_code == 302 or person.get(other).status_code == 403
    person.post(f"{other}/forwards", data={"targets": "sam@far.test"})
    person.post(f"{other}/app-passwords", data={"name": "phone"})
    person.post(f"{other}/app-passwords/phone/revoke")
    assert panel.database.read_now(lambda c: forwards.get(c, ROOT, "ben@example.test")).targets == ()
    assert panel.database.read_now(lambda c: app_passwords.find(c, ROOT, "ben@example.test")) == []
    assert person.get(other).status_code == 403


def test_an_owner_changes_the_own_password(panel: Panel, browser: Browsers) -> None:
    ann, elsewhere = browser("ann"), browser("ann")
    wrong = ann.post("/me/password", data={"present": "wrong", "new": "another password"})
    assert "not your present password" in wrong.text
    done = ann.post("/me/password", data={"present": PASSWORD, "new": "another password"}, follow_redirects=True)
    assert "You have a new password." in done.text
    assert can_sign_in(panel, ANN, "another password")
    assert elsewhere.get("/me/").location.startswith("/sign-in")


def test_guessing_at_the_own_password_slows_down(panel: Panel, browser: Browsers) -> None:
    ann = browser("ann")
    for guess in range(6):
        ann.post("/me/password", data={"present": f"guess {guess}", "new": "another password"})
    told = ann.post("/me/password", data={"present": PASSWORD, "new": "another password"})
    assert "too many wrong tries" in told.text
    assert can_sign_in(panel, ANN, PASSWORD)


def test_the_door_of_an_owner(browser: Browsers) -> None:
    page = browser("ann").get("/", follow_redirects=True).text
    assert "My mailbox" in page
    assert "Sending limits" in page


def test_limits_and_a_freeze_are_shown_and_lifted(panel: Panel, browser: Browsers) -> None:
    def prepare(connection: Connection) -> None:
        limits.set_rule(connection, ROOT, Rule("*", Per.HOUR, None, 200, Over.REFUSE, first_time=50))
        limits.set_rule(connection, ROOT, Rule("example.test", Per.DAY, 9000, None, Over.HOLD))
        limits.set_rule(connection, ROOT, Rule(ANN, Per.MESSAGE, None, 1, Over.REFUSE))
        freezing.freeze(connection, ROOT, ANN, "a burst of new recipients")

    panel.database.write_now(prepare)
    for who, here in (("ann", "/me/"), ("olga", f"/accounts/{ANN}")):
        page = browser(who).get(here).text
        assert "0 of 200" in page, who
        assert "all of example.test together" in page
        assert "at most 1 recipient in one message" in page
        assert "a burst of new recipients" in page
    assert "sending frozen" in browser("olga").get("/accounts/").text
    assert "Let it send again" in browser("olga").get(f"/accounts/{ANN}").text
    browser("olga").post(f"/limits/of/{ANN}/unfreeze")
    assert account(panel).frozen_at is None


def test_who_was_imported_with_a_foreign_hash_signs_in(panel: Panel, browser: Browsers) -> None:
    hashed = sha512_crypt.using(rounds=1000).hash(PASSWORD)
    browser("root").post(
        "/accounts/import", data={"text": f"address,hash\nben@example.test,{hashed}", "step": "run"}
    ).get_data()
    assert can_sign_in(panel, "ben@example.test", PASSWORD)
    assert not can_sign_in(panel, "ben@example.test", "wrong")
