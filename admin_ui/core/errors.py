"""Error pages: calm, one sentence of what and why, a way on; never a traceback.

A `Refused` that no view catches is a page too: what is not there is 404, what needs another role 403.
"""

from flask import Flask, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from admin_ui.core.access import is_for_programs
from admin_ui.core.acts import sentence
from mailstack import maillog
from mailstack.management.actor import Forbidden, Refused
from mailstack.store.database import StoreTrouble

_WORDS = {
    403: ("Not yours to open", "This page needs a role that you do not have."),
    404: ("Nothing here", "There is no such page, or what it showed has been removed."),
    405: ("Not this way", "This page does not take that kind of request."),
    413: ("Too large", "What was sent is larger than a form may be."),
    429: ("Too many attempts", "Wait a little, then try again."),
}


def add_error_pages(app: Flask) -> None:
    """Show an error page for whatever goes wrong."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(Forbidden, _forbidden)
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(StoreTrouble, _trouble)
    app.register_error_handler(Exception, _bug)


def _page(code: int, title: str, text: str) -> ResponseReturnValue:
    if is_for_programs():
        return {"error": f"{title}: {text}"}, code
    if "person" not in g:
        g.person = None
    return render_template("error.html", title=title, text=text), code


def _http(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    if code < 400:
        return error.get_response()
    return _page(code, *_WORDS.get(code, (error.name, "The request cannot be served as it is.")))


def _csrf(_error: CSRFError) -> ResponseReturnValue:
    return _page(400, "This form has gone stale", "Nothing was changed. Go back, load the page again and send it anew.")


def _forbidden(error: Forbidden) -> ResponseReturnValue:
    return _page(403, "Not yours to open", sentence(str(error)))


def _refused(error: Refused) -> ResponseReturnValue:
    code, title = (404, "Nothing here") if request.method == "GET" else (409, "That cannot be done")
    return _page(code, title, sentence(str(error)))


def _trouble(error: StoreTrouble) -> ResponseReturnValue:
    maillog.trouble("panel", error)
    return _page(503, "The database does not answer", "Nothing was changed. Try again in a moment.")


def _bug(error: Exception) -> ResponseReturnValue:
    maillog.bug("panel", error)
    return _page(500, "A fault of Mailstack itself", "It stands in the host's log. Nothing was changed.")
