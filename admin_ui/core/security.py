"""What every answer carries and every request must pass: headers, CSRF, cookies, and care with reverse proxies.

No page has inline script or style. Only a proxy on loopback is believed when it says whose request it hands on.
"""

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from flask import Flask, Response, abort, request
from flask.sessions import SecureCookieSessionInterface
from flask_wtf import CSRFProtect
from werkzeug.routing import IntegerConverter, Map

from admin_ui.core.access import is_for_programs, is_static
from admin_ui.core.paging import MAX_NUMBER

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # Bootstrap's style sheet draws checkboxes and arrows with data: images
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
STATIC_SECONDS = 3600

csrf = CSRFProtect()


class _Cookies(SecureCookieSessionInterface):
    """The signed cookie of tokens and messages; over TLS it never leaves TLS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether this request came by TLS."""
        return request.is_secure


def secure(app: Flask) -> None:
    """Headers, CSRF, cookies and proxies of an application."""
    app.config.update(
        SESSION_COOKIE_NAME="mailstack_form",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SEND_FILE_MAX_AGE_DEFAULT=STATIC_SECONDS,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the signed cookie: a browser's session
    )
    app.session_interface = _Cookies()
    app.url_map.converters["int"] = _RowNumber
    csrf.init_app(app)
    app.before_request(_refuse_nul)
    app.after_request(_add_headers)
    app.wsgi_app = believe_loopback_proxies(app.wsgi_app)  # type: ignore[method-assign,assignment]


class _RowNumber(IntegerConverter):
    """A number in an address: no larger than a database can take."""

    def __init__(self, map: Map, fixed_digits: int = 0) -> None:  # werkzeug's name
        super().__init__(map, fixed_digits, max=MAX_NUMBER)


def _refuse_nul() -> None:
    """No text of ours has NUL, and PostgreSQL takes none. What a program sends is the API's to read."""
    form = {} if is_for_programs() else request.form
    for values in (request.view_args or {}, request.args, form):
        if any("\0" in str(value) for value in values.values()):
            abort(400)


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if not is_static(request.endpoint):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def believe_loopback_proxies(application: Wsgi) -> Wsgi:
    """Take client, scheme and host from X-Forwarded-For, -Proto and -Host, when the peer is a proxy on loopback."""

    def run(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if _is_loopback(environ.get("REMOTE_ADDR", "")):
            client = environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
            if _is_address(client):
                environ["REMOTE_ADDR"] = client
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip()
            if scheme in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
            if environ.get("HTTP_X_FORWARDED_HOST"):
                environ["HTTP_HOST"] = environ["HTTP_X_FORWARDED_HOST"].rpartition(",")[2].strip()
        return application(environ, start_response)

    return run


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    return _is_address(text) and ip_address(text).is_loopback
