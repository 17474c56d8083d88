"""Brings a database to the newest schema, by the steps in `migrations/` (Alembic).

The steps lie beside the package in a checkout, and inside it (`_migrations`) when it was installed from a wheel.
Neighbours: `schema` is what they lead to; `cli/db` and `operations/new_host` call this.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from mailstack.store.engine import parse_url, writer_engine

_PACKAGE = Path(__file__).resolve().parent.parent


def _settings(url: str = "") -> Config:
    installed = _PACKAGE / "_migrations"
    settings = Config()
    settings.set_main_option(
        "script_location", str(installed if installed.is_dir() else _PACKAGE.parent / "migrations")
    )
    settings.attributes["url"] = url
    return settings


def head() -> str:
    """The newest revision that this version knows."""
    return ScriptDirectory.from_config(_settings()).get_current_head() or ""


def upgrade(url: str) -> None:
    """Bring the database to `head`; makes it when it is not there. `url` is absolute."""
    command.upgrade(_settings(url), "head")


def current(url: str) -> str | None:
    """The revision of the database; None when it has none."""
    parsed = parse_url(url, Path())
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return None  # connecting would make the file
    engine = writer_engine(parsed)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
