"""Brings a database to the tables that this version of the program needs, by Alembic.

The steps lie in `migrations/` of a checkout, or in the package when it was installed. An upgrade is one transaction:
done or not begun, on SQLite as on PostgreSQL. Neighbours: `schema` is what the steps add up to; `mailstack db` calls
this.
"""

import os
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL

from mailstack.store.engine import StoreTrouble, explain, is_transient, parse_url, writer_engine

_PACKAGE = Path(__file__).resolve().parents[1]
_ONE_AT_A_TIME = 0x6D61696C  # 'mail': nodes of one database that are upgraded together take turns


def head() -> str:
    """The revision that this version of the program needs."""
    revision = _steps().get_current_head()
    assert revision is not None  # noqa: S101 - there is a first migration
    return revision


def current(url: str, data: Path = Path()) -> str | None:
    """The revision of a database; None when it has no tables yet.

    Args:
        url: as in the config.
        data: the folder that the file of a relative SQLite URL lies in.

    Raises:
        StoreTrouble: the database cannot be reached now.
        DatabaseUrlError: the URL is no such thing.
    """
    parsed = parse_url(url, data)
    if _is_missing_file(parsed):
        return None
    engine = writer_engine(parsed)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except Exception as error:
        raise _translated(error) from error
    finally:
        engine.dispose()


def is_newer(revision: str | None) -> bool:
    """Whether a newer version of the program made that revision: this one has no step to it."""
    return revision is not None and revision not in {step.revision for step in _steps().walk_revisions()}


def missing(revision: str | None) -> str | None:
    """Why this version of the program cannot use a database of that revision, and the mend; None = it can."""
    if revision == head():
        return None
    if is_newer(revision):
        return f"{revision} of a newer version; run that one, or restore the backup from before its upgrade"
    needed = f"{revision or 'nothing'}, this version needs {head()}"
    return f"{needed}; stop the server, make a backup, run `mailstack db upgrade`"


def upgrade(url: str, data: Path = Path()) -> None:
    """Make what is missing, up to `head`. A database that is there already is left as it is.

    Args and errors as `current`.
    """
    parsed = parse_url(url, data)
    if _is_missing_file(parsed):
        _make_private(Path(parsed.database or ""))
    engine = writer_engine(parsed)
    try:
        _upgrade(engine)
    except Exception as error:
        raise _translated(error) from error
    finally:
        engine.dispose()


def _upgrade(engine: Engine) -> None:
    is_sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        if is_sqlite:
            # A table is changed by copying it and dropping the old one, which must not cascade. It has no effect later,
            # inside the transaction.
            raw = connection.connection.cursor()
            raw.execute("PRAGMA foreign_keys = OFF")
        with connection.begin():
            if not is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
            command.upgrade(_alembic_config(connection), "head")
            if is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise RuntimeError("the upgrade would break references between tables; nothing was changed")


def _steps() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic_config())


def _alembic_config(connection: Connection | None = None) -> AlembicConfig:
    folder = _PACKAGE / "_migrations"
    if not folder.is_dir():
        folder = _PACKAGE.parent / "migrations"
    config = AlembicConfig()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _is_missing_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


def _make_private(file: Path) -> None:
    """The database holds mail and hashes of passwords: nobody else reads it, nor the files SQLite puts beside it."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))


def _translated(error: Exception) -> Exception:
    return StoreTrouble(explain(error)) if is_transient(error) else error
