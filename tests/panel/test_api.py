"""The HTTP API: who is let in, what each operation takes and says, what goes wrong and how it is told."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from admin_ui.app import create_app
from admin_ui.core.panel import Panel
from mailstack.mail.address import Address
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import Status
from mailstack.management import sign_in, tokens
from mailstack.management.home import PICTURES
from mailstack.management.tokens import SCOPES
from mailstack.store.database import Connection
from tests.panel.conftest import PEOPLE, Browsers
from tests.store.spooled import put_message

Call = Callable[..., TestResponse]
ACCEPTED = reply(250, Status.UNDEFINED, "accepted as M0Q3ZT5K7WXAB2C")


def make_token(panel: Panel, who: str, *scopes: str) -> str:
    def work(connection: Connection) -> str:
        found = sign_in.find_person(connection, PEOPLE[who])
        assert found is not None
        person = found[0]
        return tokens.create(connection, person.actor("tests"), person, "tests", scopes or SCOPES, None)

    return panel.database.write_now(work)


@pytest.fixture
def call(app: Flask, panel: Panel) -> Call:
    made: dict[str, str] = {}

    def do(method: str, path: str, body: Any = None, *, who: str = "root", token: str | None = None) -> TestResponse:
        if token is None:
            token = made.setdefault(who, make_token(panel, who)) if who not in made else made[who]
        content = {} if body is None else {"data": body if isinstance(body, bytes) else json.dumps(body)}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return app.test_client().open("/api/v1" + path, method=method, headers=headers, **content)

    return do


def test_nobody_is_let_in_without_a_token(call: Call, browser: Browsers) -> None:
    for token in ("", "mst_guessed", "nonsense"):
        answer = call("GET", "/domains", token=token)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="mailstack"')
        assert "make" in answer.json["error"] or "made" in answer.json["error"]
    assert browser("root").get("/api/v1/domains").status_code == 401  # a cookie speaks for nobody here


def test_the_overview_says_what_needs_attention_and_how_much_mail_went(call: Call) -> None:
    whole = call("GET", "/overview?over=week").json
    assert (whole["hours"], [one["name"] for one in whole["pictures"]]) == (6, list(PICTURES))
    assert all(len(one["numbers"]) == 28 for one in whole["pictures"])
    assert any(one["topic"] == "host" and one["mend"] for one in whole["attention"]), "its certificate is self-signed"
    assert not any(one["topic"] == "host" for one in call("GET", "/overview", who="olga").json["attention"])
    assert call("GET", "/overview?over=year").status_code == 400


def test_what_is_not_there_is_said_in_json(call: Call) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("PUT", "/domains", 405)):
        answer = call(method, path, token="")
        assert (answer.status_code, list(answer.json)) == (status, ["error"])


def test_no_operation_answers_without_a_token(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("api.") and rule.endpoint != "api.openapi":
            path = app.url_map.bind("localhost").build(rule.endpoint, dict.fromkeys(rule.arguments, "x"))
            [method] = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            assert app.test_client().open(path, method=method).status_code == 401, rule


def test_a_token_does_what_its_scopes_say(call: Call, panel: Panel) -> None:
    token = make_token(panel, "root", "domains:read")
    assert call("GET", "/domains", token=token).status_code == 200
    assert call("POST", "/domains", {"name": "new.test"}, token=token).status_code == 403
    assert call("GET", "/accounts", token=token).status_code == 403


def test_a_body_is_json_whatever_it_is_called(app: Flask, panel: Panel) -> None:
    headers = {"Authorization": f"Bearer {make_token(panel, 'root')}"}
    for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):  # curl says the second
        body = json.dumps({"name": f"{len(kind)}.test"})
        assert (
            app.test_client().post("/api/v1/domains", data=body, content_type=kind, headers=headers).status_code == 201
        )


def test_domains(call: Call) -> None:
    assert call("POST", "/domains", {"name": "new.test"}).status_code == 201
    assert call("POST", "/domains", {"name": "new.test"}).status_code == 409
    changed = call("PATCH", "/domains/new.test", {"expire_days": 7})
    assert (changed.json["expire_days"], changed.json["kind"]) == (7, "local")
    assert call("PATCH", "/domains/new.test", {"kind": "relay", "next_hop": "mx.b.test:25"}).json["expire_days"] == 7
    assert call("GET", "/domains/new.test").json["next_hop"] == "mx.b.test:25"
    assert call("DELETE", "/domains/new.test").status_code == 204
    assert call("GET", "/domains/new.test").status_code == 404


def test_lists_come_by_pages(call: Call) -> None:
    for number in range(5):
        call("POST", "/accounts", {"address": f"p{number}@other.test", "password": "a password"})
    seen: list[str] = []
    after = ""
    while True:
        page = call("GET", f"/accounts?domain=other.test&limit=2&after={after}").json
        seen += [one["address"] for one in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == [f"p{number}@other.test" for number in range(5)]


def test_accounts_and_aliases(call: Call) -> None:
    made = call("POST", "/accounts", {"address": "ben@example.test", "password": "a password", "quota_octets": 1000})
    assert (made.status_code, made.json["state"], made.json["quota_octets"]) == (201, "active", 1000)
    changed = call("PATCH", "/accounts/ben@example.test", {"state": "suspended", "quota_octets": None})
    assert (changed.json["state"], changed.json["quota_octets"]) == ("suspended", None)
    assert call("PUT", "/accounts/ben@example.test/password", {"password": "another one"}).status_code == 204
    assert call("PUT", "/accounts/ben@example.test/password", {"password": "short"}).status_code == 409
    targets = ["ben@example.test", "ann@example.test"]
    assert call("PUT", "/aliases/info@example.test", {"targets": targets}).json["targets"] == sorted(targets)
    assert call("DELETE", "/aliases/info@example.test?target=ben@example.test").status_code == 204
    assert call("GET", "/aliases").json["items"] == [{"address": "info@example.test", "targets": ["ann@example.test"]}]
    assert call("DELETE", "/accounts/ben@example.test").status_code == 204


def test_the_queue(call: Call, panel: Panel) -> None:
    numbers = panel.database.write_now(
        lambda connection: put_message(connection, "M1", ["a@far.example", "b@far.example"], last_reply="450 later")
    )
    found = call("GET", "/queue?limit=1").json
    assert found["items"][0]["recipient"] == "a@far.example"
    assert call("GET", f"/queue?after={found['next']}").json["items"][0]["recipient"] == "b@far.example"
    assert call("GET", "/queue?state=held").json["items"] == []
    assert call("POST", "/queue/hold", {"ids": [str(numbers[0])]}).json == {"done": 1}
    assert call("GET", "/queue/destinations").json[0]["held"] == 1
    assert call("POST", "/queue/burn", {"all": True}).status_code == 409
    assert call("POST", "/queue/drop", {}).status_code == 409
    assert call("POST", "/queue/drop", {"all": True}, who="sven").json == {"done": 0}
    assert [one["message"] for one in call("GET", "/trace?search=a@far.example").json] == ["M1"]


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/domains", b"{", "cannot be read"),
        ("POST", "/domains", b"", "cannot be read"),
        ("POST", "/domains", {}, "name"),
        ("POST", "/domains", {"name": "a\0.test"}, "NUL"),
        ("POST", "/domains", {"name": "a.test", "colour": "red"}, "colour"),
        ("POST", "/domains", {"name": 5}, "str"),
        ("POST", "/domains", {"name": "a.test", "kind": "odd"}, "odd"),
        ("GET", "/accounts?limit=0", None, ">= 1"),
        ("GET", "/accounts?colour=red", None, "colour"),
        ("GET", "/trace", None, "search"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(call: Call, method: str, path: str, body: Any, words: str) -> None:
    answer = call(method, path, body)
    assert answer.status_code == 400
    assert words in answer.json["error"]
    assert "\n" not in answer.json["error"]


def test_roles_hold_here_too(call: Call) -> None:
    assert call("GET", "/domains/other.test", who="olga").status_code == 403
    assert [one["name"] for one in call("GET", "/domains", who="olga").json["items"]] == ["example.test"]
    assert call("POST", "/domains", {"name": "new.test"}, who="olga").status_code == 403
    assert call("GET", "/accounts", who="ann").json["items"] == []


class TestSending:
    """POST /messages, with the host's side played."""

    MAIL: dict[str, Any] = {  # noqa: RUF012
        "from": "Änn <ann@example.test>",
        "to": ["Bob <bob@far.example>"],
        "bcc": ["eve@far.example"],
        "subject": "Grüße",
        "text": "Guten Tag.\n",
        "html": "<p>Guten Tag.</p>",
    }

    @pytest.fixture
    def sent(self) -> list[tuple[Any, ...]]:
        return []

    @pytest.fixture
    def answers(self) -> list[Reply]:
        return [ACCEPTED]

    @pytest.fixture
    def app(self, panel: Panel, sent: list[tuple[Any, ...]], answers: list[Reply]) -> Flask:
        def submit(*mail: Any) -> Reply:
            sent.append(mail)
            return answers[-1]

        return create_app(replace(panel, submit=submit))

    def test_it_is_submitted_as_the_owner(self, call: Call, sent: list[tuple[Any, ...]]) -> None:
        answer = call("POST", "/messages", self.MAIL, who="ann")
        assert (answer.status_code, answer.json) == (202, {"id": "M0Q3ZT5K7WXAB2C", "recipients": 2})
        [(account, _client, sender, recipients, content)] = sent
        assert (account, sender) == ("ann@example.test", Address("ann", "example.test"))
        assert [str(one) for one in recipients] == ["bob@far.example", "eve@far.example"]
        assert b"eve@far.example" not in content
        assert b"\r\nSubject: =?utf-8?" in content
        assert b"text/html" in content
        assert b"\n" not in content.replace(b"\r\n", b"")

    def test_an_administrator_sends_from_accounts_of_theirs(self, call: Call, sent: list[tuple[Any, ...]]) -> None:
        assert call("POST", "/messages", self.MAIL, who="olga").status_code == 202
        assert call("POST", "/messages", self.MAIL, who="sven").status_code == 403
        assert [mail[0] for mail in sent] == ["ann@example.test"]

    @pytest.mark.parametrize(
        ("refusal", "status"),
        [
            (reply(450, Status.NOT_AUTHORISED, "over the sending limit"), 429),
            (reply(451, Status.SYSTEM_OTHER, "try again later"), 503),
            (reply(550, Status.NOT_AUTHORISED, "the From does not belong to the account"), 409),
        ],
    )
    def test_a_refusal_keeps_its_words(self, call: Call, answers: list[Reply], refusal: Reply, status: int) -> None:
        answers.append(refusal)
        answer = call("POST", "/messages", self.MAIL, who="ann")
        assert (answer.status_code, refusal.text in answer.json["error"]) == (status, True)

    @pytest.mark.parametrize(
        "change",
        [{"to": [], "bcc": []}, {"to": ["a@x.test, b@x.test"]}, {"from": "nobody"}, {"subject": "a\r\nBcc: x@y.test"}],
    )
    def test_a_mail_without_sense_is_not_sent(
        self, call: Call, sent: list[tuple[Any, ...]], change: dict[str, Any]
    ) -> None:
        assert call("POST", "/messages", {**self.MAIL, **change}, who="ann").status_code == 409
        assert sent == []


def test_the_description_names_every_operation(app: Flask) -> None:
    document = app.test_client().get("/api/v1/openapi.json").json
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    served = {
        (str(rule).replace("<", "{").replace(">", "}"), method)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.") and rule.endpoint != "api.openapi"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == served
    assert document["components"]["schemas"]["NewAccount"]["required"] == ["address", "password"]
    used = {part for part in json.dumps(document).split('"') if part.startswith("#/components/schemas/")}
    assert {name.rpartition("/")[2] for name in used} <= set(document["components"]["schemas"])


def test_tokens_are_made_and_revoked_on_their_page(browser: Browsers, call: Call) -> None:
    ann = browser("ann")
    assert "You have no tokens." in ann.get("/tokens/").text
    page = ann.post("/tokens/add", data={"name": "a shop", "scopes": ["trace:read"], "days": "90"}).text
    token = page.partition('tabindex="0">')[2].partition("<")[0]
    assert call("GET", "/trace?search=x@y.test", token=token).status_code == 200
    assert "a shop" in ann.get("/tokens/").text
    assert token not in ann.get("/tokens/").text
    number = ann.get("/tokens/").text.partition("/revoke")[0].rpartition("/")[2]
    assert "no such token" in browser("root").post(f"/tokens/{number}/revoke", follow_redirects=True).text
    ann.post(f"/tokens/{number}/revoke")
    assert call("GET", "/trace?search=x@y.test", token=token).status_code == 401
    assert "Tick at least one" in ann.post("/tokens/add", data={"name": "x"}).text


def test_the_examples_are_there_for_everybody(browser: Browsers) -> None:
    assert "/api/v1/messages" in browser("ann").get("/tokens/examples").text


def test_limits(call: Call) -> None:
    assert call("PUT", "/limits/*/day", {"recipients": 100, "first_time": 10}).status_code == 204
    assert call("PUT", "/limits/ann@example.test/hour", {"messages": 5, "over": "hold"}, who="olga").status_code == 204
    assert call("PUT", "/limits/*/hour", {"messages": 5}, who="olga").status_code == 403
    assert call("PUT", "/limits/*/year", {"messages": 5}).status_code == 409
    assert call("PUT", "/limits/*/hour", {}).status_code == 409
    [rule] = call("GET", "/limits/ann@example.test").json
    assert (rule["messages"], rule["recipients"], rule["over"], rule["used_messages"]) == (5, None, "hold", 0)
    first = call("GET", "/limits?limit=1").json
    second = call("GET", f"/limits?limit=1&after={first['next']}").json
    assert [page["items"][0]["scope"] for page in (first, second)] == ["*", "ann@example.test"]
    assert second["next"] is None
    assert call("DELETE", "/limits/*/day").status_code == 204
    assert call("DELETE", "/limits/*/day").status_code == 409


def test_audit(call: Call) -> None:
    call("POST", "/domains", {"name": "new.test"})
    page = call("GET", "/audit?what=domain&limit=1").json
    assert (page["items"][0]["act"], page["items"][0]["object"]) == ("domain.add", "new.test")
    older = call("GET", f"/audit?what=domain&after={page['next']}").json["items"]
    assert "new.test" not in [deed["object"] for deed in older]
    assert call("GET", "/audit?about=new.test", who="olga").json["items"] == []


def test_what_an_account_does_by_itself(call: Call) -> None:
    mine = "/accounts/ann@example.test"
    changed = call("PUT", f"{mine}/forwards", {"targets": ["ann@far.test"], "keeps_copy": False}, who="ann").json
    assert changed == {"targets": ["ann@far.test"], "keeps_copy": False}
    assert call("GET", f"{mine}/forwards").json == changed
    assert call("GET", f"{mine}/vacation", who="ann").json is None
    away = {"body": "I am away.", "subject": "", "starts_at": "2026-12-01T00:00:00Z", "ends_at": None}
    assert call("PUT", f"{mine}/vacation", away, who="ann").status_code == 204
    assert call("GET", f"{mine}/vacation").json == away
    assert call("PUT", f"{mine}/vacation", {**away, "starts_at": "2026-12-01T00:00:00"}).status_code == 400
    assert call("DELETE", f"{mine}/vacation", who="ann").status_code == 204
    made = call("POST", f"{mine}/app-passwords", {"name": "phone"}, who="ann")
    assert (made.status_code, len(made.json["password"]) > 15) == (201, True)
    assert [(one["name"], one["password"]) for one in call("GET", f"{mine}/app-passwords").json] == [("phone", None)]
    assert call("DELETE", f"{mine}/app-passwords/phone", who="ann").status_code == 204
    for path in ("forwards", "vacation", "app-passwords"):
        assert call("GET", f"{mine}/{path}", who="sven").status_code == 403


def test_freezing(call: Call, panel: Panel) -> None:
    mine = "/accounts/ann@example.test/freeze"
    assert call("PUT", mine, {"why": "a burst"}, who="ann").status_code == 403
    assert call("PUT", mine, {"why": "a burst"}, who="olga").status_code == 204
    assert call("PUT", mine, {"why": "again"}, who="olga").status_code == 409
    assert call("DELETE", f"{mine}?drop=true", who="olga").json == {"done": 0}
    assert call("DELETE", mine, who="olga").status_code == 409


def test_import(call: Call) -> None:
    lines = "address,password\nben@example.test,a good password\nnobody,x\n"
    for dry_run, found in ((True, 404), (False, 200)):
        results = call("POST", "/accounts-import", {"csv": lines, "dry_run": dry_run}).json
        assert [bool(one["trouble"]) for one in results] == [False, True]
        assert call("GET", "/accounts/ben@example.test").status_code == found


def test_administrators(call: Call) -> None:
    new = {"name": "paul", "password": "correct horse battery", "domains": ["example.test"]}
    assert call("POST", "/administrators", new, who="olga").status_code == 403
    assert call("POST", "/administrators", new).json["domains"] == ["example.test"]
    assert [one["name"] for one in call("GET", "/administrators").json] == ["olga", "paul", "root", "sven"]
    assert call("DELETE", "/administrators/paul").status_code == 204
