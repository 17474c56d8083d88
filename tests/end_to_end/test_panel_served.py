"""The panel as the running host serves it: in the clear and over TLS, slow to guessers, gone at the end."""

import http.client
import poplib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.host import PASSWORD, Host

Answer = tuple[int, str, http.client.HTTPMessage]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(tmp_path / "host").init() as host:
        yield host


def clear(host: Host) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", host.ports["http"], timeout=30)


def over_tls(host: Host) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("127.0.0.1", host.ports["https"], timeout=30, context=host.tls())


def get(connection: http.client.HTTPConnection, path: str) -> Answer:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def sign_in(connection: http.client.HTTPConnection, name: str, password: str) -> Answer:
    _, page, headers = get(connection, "/sign-in")
    token = re.search(r'name="csrf_token" type="hidden" value="([^"]+)"', page)
    assert token
    form = urlencode({"csrf_token": token[1], "name": name, "password": password})
    cookie = (headers["Set-Cookie"] or "").partition(";")[0]
    sent = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    sent["Referer"] = f"https://127.0.0.1:{connection.port}/sign-in"
    connection.request("POST", "/sign-in", form, sent)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def test_the_set_up_link_until_there_is_an_administrator(host: Host) -> None:
    host.start()
    link = re.search(r"^set-up: https://127\.0\.0\.1:(\d+)(/setup\?token=\S+)$", host.out_text(), re.MULTILINE)
    assert link
    assert int(link[1]) == host.ports["https"]
    assert get(over_tls(host), link[2])[0] == 200
    host.command("admin", "add", "root", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert get(clear(host), link[2])[0] == 410
    host.stop()
    host.start()
    assert "set-up:" not in host.out_text()


def test_over_tls_the_cookie_stays_there(host: Host) -> None:
    host.command("admin", "add", "root", "--password-stdin", stdin=f"{PASSWORD}\n")
    host.start()
    for connection, is_secure in ((clear(host), False), (over_tls(host), True)):
        status, _, headers = sign_in(connection, "root", PASSWORD)
        assert (status, headers["Location"]) == (303, "/")
        cookies = headers.get_all("Set-Cookie") or []
        assert all(("Secure" in cookie) is is_secure for cookie in cookies)
        assert any(cookie.startswith("mailstack_session=") for cookie in cookies)


def test_failures_of_mail_clients_count(host: Host) -> None:
    host.add_domain("example.test")
    host.add_account("ann@example.test")
    host.start()
    for _ in range(4):
        session = poplib.POP3_SSL("127.0.0.1", host.ports["pop3s"], timeout=60, context=host.tls())
        session.user("ann@example.test")
        with pytest.raises(poplib.error_proto):
            session.pass_("not it")
        session.close()
    sign_in(clear(host), "ann@example.test", "not it either")
    _, page, _ = sign_in(clear(host), "ann@example.test", PASSWORD)
    assert "too many wrong tries" in page


def test_an_open_browser_does_not_keep_the_host(host: Host) -> None:
    host.start()
    kept_open = clear(host)
    assert get(kept_open, "/sign-in")[0] == 200
    assert host.stop() == 0
    kept_open.close()
