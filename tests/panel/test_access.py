"""Who gets to which page: every route without sign-in, each role × each route, tokens and headers."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import IntegerConverter, Rule

from admin_ui.core.access import Role, is_static, role_of
from admin_ui.core.panel import Panel
from tests.panel.conftest import Browsers

MAY_OPEN = {
    "nobody": {Role.EVERYBODY},
    "ann": {Role.EVERYBODY, Role.PERSON, Role.OWNER},
    "olga": {Role.EVERYBODY, Role.PERSON, Role.ADMINISTRATOR},
    "root": set(Role) - {Role.OWNER, Role.PROGRAM},
}

LEADS_TO_SIGN_IN = ("sign_in.out", "sign_in.code")


def address(app: Flask, rule: Rule, argument: str = "1") -> str:
    """Some address of a route; arguments that are numbers are 1, or as large as can be."""
    number = "9" * 25 if argument.isdecimal() and len(argument) > 9 else 1
    values: dict[str, Any] = {
        name: number if isinstance(rule._converters[name], IntegerConverter) else argument for name in rule.arguments
    }
    return app.url_map.bind("localhost").build(rule.endpoint, values)


@pytest.mark.parametrize("who", MAY_OPEN)
def test_each_route_by_role(app: Flask, browser: Browsers, who: str) -> None:
    wrong = []
    for rule in app.url_map.iter_rules():
        if role_of(app, rule.endpoint) is Role.PROGRAM:  # tests/panel/test_api.py
            continue
        if is_static(rule.endpoint) or rule.endpoint in LEADS_TO_SIGN_IN:
            continue
        method = "GET" if "GET" in (rule.methods or ()) else "POST"
        answer = browser(who).open(address(app, rule), method=method)
        is_shut = answer.status_code == 403 or answer.headers.get("Location", "").startswith("/sign-in")
        if is_shut == (role_of(app, rule.endpoint) in MAY_OPEN[who]):
            wrong.append(f"{who} {method} {rule}: {answer.status}")
    assert not wrong


def test_an_unknown_page_tells_strangers_nothing(browser: Browsers) -> None:
    assert browser("nobody").get("/nothing").headers["Location"].startswith("/sign-in")
    assert browser("root").get("/nothing").status_code == 404


def test_a_form_without_token_changes_nothing(app: Flask, browser: Browsers) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    client = browser("root")
    for rule in app.url_map.iter_rules():
        if "POST" in (rule.methods or ()) and role_of(app, rule.endpoint) is not Role.PROGRAM:
            assert client.post(address(app, rule)).status_code == 400, rule


def test_headers(browser: Browsers) -> None:
    answer = browser("nobody").get("/sign-in")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_fault_shows_no_traceback(app: Flask, browser: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise RuntimeError("a secret")

    fail.role = Role.PERSON  # type: ignore[attr-defined]
    app.view_functions["audit.index"] = fail
    answer = browser("root").get("/audit/")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_the_panel_of_a_process_of_its_own(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    config = panel.config.data / "mailstack.toml"
    config.write_text('hostname = "mx.example.test"\ndata = "."\n')
    monkeypatch.setenv("MAILSTACK_CONFIG", str(config))
    from admin_ui import wsgi

    answer = wsgi.app.test_client().get("/sign-in")
    assert answer.status_code == 200
    assert "mx.example.test" in answer.text


JUNK = (
    *("", "\x00", "%", "'\"<script>", "9" * 30, "-1", "\ud7ff\U0001f600", "x" * 5000, "a@b@c", "../.."),
    "1\r\nSet-Cookie: x=y",
)
TYPED = ("search", "after", "next", "over", "who", "what", "about", "token", "name", "code", "query", "id", "domain")


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
@pytest.mark.parametrize("who", ["root", "ann"])
def test_junk_is_no_fault(app: Flask, browser: Browsers, who: str, junk: str) -> None:
    """Whatever stands in a route's path, address or form: an answer, and none of our faults."""
    typed, client = dict.fromkeys(TYPED, junk), browser(who)
    for rule in app.url_map.iter_rules():
        if is_static(rule.endpoint) or rule.endpoint == "sign_in.out":
            continue
        path = address(app, rule, junk or "x")
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            form = typed if method == "POST" else None
            answer = client.open(path, method=method, query_string=typed, data=form)
            assert answer.status_code < 500, f"{method} {path}"
            assert "x=y" not in str(answer.headers.getlist("Set-Cookie"))
