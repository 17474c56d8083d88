"""The steps of a sign-in that its pages share: the password, the half-way mark, the open session.

Between password and second step the person is remembered in the signed cookie, for minutes.
"""

import time
from typing import Any

from flask import redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from admin_ui.core.access import COOKIE
from admin_ui.core.panel import panel
from mailstack.management import sessions, sign_in
from mailstack.management.passkeys import Site
from mailstack.management.sign_in import Person

HALF_WAY_SECONDS = 600
WRONG = "That name and password do not belong together."


def source() -> str:
    """The address that this request comes from."""
    return request.remote_addr or "unknown"


def site() -> Site:
    """The panel as the browser of this request knows it."""
    return Site(request.host.partition(":")[0], request.host_url.rstrip("/"))


def wait_for(name: str) -> str:
    """What to say to somebody who has to wait for the next try; empty = go on."""
    seconds = panel().turnstile.wait(name, source())
    if not seconds:
        return ""
    wait = f"{seconds} second{'s' if seconds > 1 else ''}" if seconds < 120 else f"{seconds // 60} minutes"
    return f"There were too many wrong tries. Wait {wait}, then try again."


def check_password(name: str, password: str) -> Person | str:
    """The person of a name and password, or what to say."""
    wait = wait_for(name)
    if wait:
        return wait
    found = panel().database.read_now(lambda connection: sign_in.find_person(connection, name))
    if not sign_in.password_matches(found[1] if found else None, password) or not found:
        panel().turnstile.note_failure(name, source())
        return WRONG
    return found[0]


def remember_half_way(person: Person) -> None:
    """The password was right; the second step is to come."""
    session["half_way"] = [person.administrator_id, person.account_id, int(time.time()) + HALF_WAY_SECONDS]


def half_way() -> Person | None:
    """Who has given the password and not yet the second step; None when nobody has, or too long ago."""
    administrator_id, account_id, until = session.get("half_way") or (None, None, 0)
    if until < time.time():
        return None
    return panel().database.read_now(lambda connection: sign_in.person_of(connection, administrator_id, account_id))


def open_session(person: Person, answer: Any) -> Any:
    """Let a person in: the answer gets the cookie of a new session, and a new CSRF token begins with it."""
    agent, address = request.headers.get("User-Agent", ""), source()
    panel().turnstile.note_success(person.name, address)
    token = panel().database.write_now(lambda connection: sessions.open_session(connection, person, address, agent))
    for left_over in ("half_way", "challenge", "csrf_token"):
        session.pop(left_over, None)
    answer.set_cookie(COOKIE, token, httponly=True, samesite="Lax", secure=request.is_secure)
    return answer


def enter(person: Person) -> ResponseReturnValue:
    """Let a person in, to the page that was wanted."""
    answer: ResponseReturnValue = open_session(person, redirect(next_page(), 303))
    return answer


def next_page() -> str:
    """Where the person wanted to go: a page of ours, or the first one."""
    wanted = request.args.get("next", "")
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_ours and wanted.isprintable() else url_for("home.door")
