"""The panel's application: all nouns on one host.

Neighbours: `mailstack.app` serves it by the mail host's reactor, `wsgi` offers it to a server of its own.
"""

from importlib import import_module

from flask import Flask
from flask_bootstrap import Bootstrap5

from admin_ui.core.access import guard
from admin_ui.core.acts import sentence
from admin_ui.core.errors import add_error_pages
from admin_ui.core.navigation import add_menu
from admin_ui.core.paging import here
from admin_ui.core.panel import Panel
from admin_ui.core.security import secure
from admin_ui.core.words import add_filters
from mailstack.management.sign_in import panel_secret

NOUNS = (
    "home",
    "sign_in",
    "queue",
    "trace",
    "limits",
    "api",
    "tokens",
    "security",
    "me",
    "domains",
    "accounts",
    "services",
    "aliases",
    "administrators",
    "audit",
)
"""Packages beside this file; each has a `blueprint` in its `views`."""


def create_app(panel: Panel) -> Flask:
    """The application of one host.

    Raises:
        StoreTrouble: the key that signs cookies cannot be read just now.
    """
    app = Flask(__name__)
    app.extensions["mailstack"] = panel
    app.config.update(
        SECRET_KEY=panel.database.write_now(panel_secret),
        BOOTSTRAP_SERVE_LOCAL=True,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(hostname=panel.config.hostname, here=here, sentence=sentence)
    Bootstrap5(app)
    secure(app)
    add_error_pages(app)
    add_filters(app)
    add_menu(app)
    for noun in NOUNS:
        app.register_blueprint(import_module(f"admin_ui.{noun}.views").blueprint)
    guard(app)
    return app
