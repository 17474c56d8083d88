"""Signing in: passwords, slow-down, second steps, recovery codes, sessions, the first administrator."""

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from flask.testing import FlaskClient

from admin_ui.core.panel import Panel
from mailstack.management import administrators, set_up
from mailstack.management.actor import Actor
from mailstack.store.database import Connection
from tests.panel.conftest import PASSWORD, ROOT, Browsers


def give(client: FlaskClient, name: str, password: str, path: str = "/sign-in") -> str:
    """Name and password; where the answer leads, or what it says."""
    answer = client.post(path, data={"name": name, "password": password})
    return answer.headers.get("Location") or answer.text


def code_of(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(datetime.now(UTC) + steps * timedelta(seconds=30))


def add_app(client: FlaskClient) -> tuple[str, list[str]]:
    """Add an app as one's second step; its secret and the recovery codes."""
    page = client.get("/security/app").text
    secret = page.partition('class="secret">')[2].partition("<")[0]
    form = {"secret": secret, "code": code_of(secret, -1), "name": "phone", "present": PASSWORD}
    shown = client.post("/security/app", data=form).text
    return secret, [part.partition("<")[0] for part in shown.split("<li><code>")[1:]]


@pytest.mark.parametrize("name", ["root", "olga", "ann@example.test", "Ann@Example.TEST"])
def test_the_right_password(browser: Browsers, name: str) -> None:
    client = browser("nobody")
    assert give(client, name, PASSWORD) == "/"
    assert client.get("/security/").status_code == 200


@pytest.mark.parametrize("name", ["root", "ann@example.test", "nemo", "nemo@example.test"])
def test_a_wrong_one_and_an_unknown_name_read_the_same(browser: Browsers, name: str) -> None:
    assert "do not belong together" in give(browser("nobody"), name, "not it at all")


def test_on_to_the_page_that_was_wanted_but_nowhere_else(browser: Browsers) -> None:
    client = browser("nobody")
    assert client.get("/audit/?x=1").headers["Location"] == "/sign-in?next=/audit/?x%3D1"
    assert give(client, "root", PASSWORD, "/sign-in?next=/audit/?x%3D1") == "/audit/?x=1"
    for elsewhere in ("//evil.test", "/\\evil.test", "https://evil.test/", "/\tevil"):
        answer = browser("nobody").post(
            "/sign-in", query_string={"next": elsewhere}, data={"name": "root", "password": PASSWORD}
        )
        assert answer.headers["Location"] == "/"


def test_failures_slow_down(browser: Browsers) -> None:
    client = browser("nobody")
    for _ in range(5):
        told = give(client, "root", "not it at all")
    assert "too many wrong tries" in told
    assert "too many wrong tries" in give(client, "root", PASSWORD)


def test_an_app_is_the_second_step(panel: Panel, browser: Browsers) -> None:
    owner = browser("olga")
    secret, codes = add_app(owner)
    assert len(codes) == 10
    client = browser("nobody")
    assert give(client, "olga", PASSWORD, "/sign-in?next=/home") == "/sign-in/code?next=/home"
    assert client.get("/home").status_code == 302, "the password alone opens nothing"
    assert "not right" in client.post("/sign-in/code", data={"code": "000000"}).text
    right = code_of(secret)
    answer = client.post("/sign-in/code?next=/home", data={"code": f"{right[:3]} {right[3:]}"})
    assert answer.headers["Location"] == "/home"
    assert client.get("/home").status_code == 200
    again = browser("nobody")
    give(again, "olga", PASSWORD)
    assert "not right" in again.post("/sign-in/code", data={"code": right}).text, "a code is good once"


def test_a_recovery_code_lets_in_once(browser: Browsers) -> None:
    _, codes = add_app(browser("ann"))
    for lets_in in (True, False):
        client = browser("nobody")
        give(client, "ann@example.test", PASSWORD)
        answer = client.post("/sign-in/code", data={"code": codes[3].upper()})
        assert (answer.status_code == 303) is lets_in
    assert "9 left" in browser("ann").get("/security/").text


def test_factors_are_ones_own(browser: Browsers) -> None:
    add_app(browser("olga"))
    answer = browser("root").post("/security/factor/1/remove", data={"present": PASSWORD})
    assert "no such second step of yours" in answer.text
    wrong = browser("olga").post("/security/factor/1/remove", data={"present": "not it"})
    assert "not your password" in wrong.text
    answer = browser("olga").post("/security/factor/1/remove", data={"present": PASSWORD}, follow_redirects=True)
    assert "alone lets you in" in answer.text
    assert give(browser("nobody"), "olga", PASSWORD) == "/"


def test_a_new_password_ends_the_other_sessions(browser: Browsers) -> None:
    one, other = browser("olga"), browser("olga")
    form = {"present": PASSWORD, "new": "a brand new password"}
    assert "changed" in one.post("/security/password", data=form, follow_redirects=True).text
    assert one.get("/home").status_code == 200
    assert other.get("/home").status_code == 302
    assert give(browser("nobody"), "olga", "a brand new password") == "/"


def test_sessions_are_seen_and_ended(browser: Browsers) -> None:
    one, other, third = browser("olga"), browser("olga"), browser("olga")
    assert one.get("/security/").text.count("from 192.0.2.7") == 3
    one.post("/security/session/2/end")
    assert [client.get("/home").status_code for client in (one, other, third)] == [200, 302, 200]
    browser("sven").post("/security/session/3/end")
    assert third.get("/home").status_code == 200, "not his to end"
    one.post("/security/sessions/end")
    assert [client.get("/home").status_code for client in (one, third)] == [200, 302]
    one.post("/sign-out")
    assert one.get("/home").status_code == 302


def test_who_was_removed_is_signed_out(panel: Panel, browser: Browsers) -> None:
    client = browser("sven")
    panel.database.write_now(lambda connection: administrators.remove(connection, ROOT, "sven"))
    assert client.get("/home").status_code == 302


def test_the_first_administrator(panel: Panel, browser: Browsers) -> None:
    def empty(connection: Connection) -> str | None:
        for one in administrators.find(connection, ROOT):
            administrators.remove(connection, ROOT, one.name)
        return set_up.make_setup_token(connection)

    token = panel.database.write_now(empty)
    client = browser("nobody")
    assert "no administrator yet" in client.get("/sign-in").text
    assert client.get("/setup?token=guess").status_code == 410
    assert "8 or more" in client.post(f"/setup?token={token}", data={"name": "root", "password": "short"}).text
    assert client.post(f"/setup?token={token}", data={"name": "root", "password": PASSWORD}).status_code == 303
    assert client.get("/administrators/").status_code == 200
    assert browser("nobody").get(f"/setup?token={token}").status_code == 410, "once"
    assert panel.database.write_now(set_up.make_setup_token) is None
    assert give(browser("nobody"), "root", PASSWORD) == "/"


def test_cookies(browser: Browsers) -> None:
    for base, is_secure in (("http://mx.example.test", False), ("https://mx.example.test", True)):
        answer = browser("nobody").post("/sign-in", base_url=base, data={"name": "root", "password": PASSWORD})
        cookie = next(one for one in answer.headers.getlist("Set-Cookie") if one.startswith("mailstack_session"))
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert ("Secure" in cookie) is is_secure


@pytest.mark.parametrize(("peer", "client"), [("127.0.0.1", "198.51.100.9"), ("203.0.113.5", "203.0.113.5")])
def test_only_a_proxy_on_loopback_is_believed(panel: Panel, browser: Browsers, peer: str, client: str) -> None:
    nobody = browser("nobody")
    nobody.post(
        "/sign-in",
        data={"name": "root", "password": PASSWORD},
        headers={"X-Forwarded-For": "10.0.0.1, 198.51.100.9", "X-Forwarded-Proto": "https"},
        environ_base={"REMOTE_ADDR": peer},
    )
    seen = browser("root").get("/security/").text
    assert f"from {client}" in seen


def test_a_proxy_names_the_host(browser: Browsers) -> None:
    headers = {"X-Forwarded-Host": "panel.example.test", "X-Forwarded-Proto": "https"}
    options = browser("nobody").post("/sign-in/passkey/options", headers=headers).get_json()
    assert options["rpId"] == "panel.example.test"


def test_a_passkey_nobody_has(browser: Browsers) -> None:
    client = browser("nobody")
    assert client.post("/sign-in/passkey", json={"id": "x"}).status_code == 400, "no challenge was given out"
    client.post("/sign-in/passkey/options")
    assert "not known here" in client.post("/sign-in/passkey", json={"id": "x"}).get_json()["refused"]


def test_an_owner_is_no_administrator() -> None:
    assert not Actor("ann@example.test", "192.0.2.1").may_manage("example.test")
