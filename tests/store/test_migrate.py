"""What the migrations build is what `schema` says, on both databases."""

import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, select, text

from mailstack.store import migrate, schema
from mailstack.store.database import Database, StoreTrouble
from mailstack.store.engine import parse_url, writer_engine
from tests.postgres import PostgresServer

pytestmark = pytest.mark.filterwarnings("ignore:.*expression-based index")  # `made_as` sees what SQLAlchemy cannot


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/folder/empty.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.make_database()
    yield url
    server.drop_database(url)


def test_migrated_tables_are_those_of_the_schema(empty_url: str) -> None:
    assert migrate.current(empty_url) is None
    migrate.upgrade(empty_url)
    assert migrate.current(empty_url) == migrate.head()
    engine = writer_engine(parse_url(empty_url, Path()))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()


def test_migrated_checks_defaults_and_indexes_are_those_of_the_schema(
    empty_url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # Alembic compares none of them fully, so two databases are: one migrated, one made from the schema.
    migrate.upgrade(empty_url)
    made_url = request.getfixturevalue("sqlite_url" if empty_url.startswith("sqlite") else "postgres_url")
    migrated, made = rules(empty_url, tmp_path), rules(made_url, tmp_path)
    assert migrated == made
    assert len(made) > 150


def rules(url: str, data: Path) -> set[tuple[str, ...]]:
    """Every CHECK, key and index of the database, in words."""
    engine = writer_engine(parse_url(url, data))
    seen = inspect(engine)
    found: set[tuple[str, ...]] = set()
    for table in schema.metadata.tables:
        for column in seen.get_columns(table):
            found.add((table, "column", *(str(column[key]) for key in ("name", "type", "nullable", "default"))))
        for check in seen.get_check_constraints(table):
            found.add((table, "check", str(check["name"]), plain(check["sqltext"])))
        for key in seen.get_foreign_keys(table):
            found.add((table, "key", str(key["constrained_columns"]), key["referred_table"], str(key["options"])))
        for index in seen.get_indexes(table):
            where = [plain(str(v)) for k, v in index.get("dialect_options", {}).items() if k.endswith("_where")]
            found.add((table, "index", str(index["name"]), str(index["column_names"]), *where))
        for unique in seen.get_unique_constraints(table):
            found.add((table, "unique", str(unique["name"]), str(unique["column_names"])))
    found |= made_as(engine)
    engine.dispose()
    return found


def made_as(engine: Engine) -> set[tuple[str, ...]]:
    """The statements that made the indexes: what an index of an expression indexes is seen in them only."""
    sqlite = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    postgresql = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    with engine.connect() as connection:
        rows = connection.execute(text(sqlite if engine.dialect.name == "sqlite" else postgresql)).all()
    return {("made as", name, plain(sql)) for name, sql in rows if "alembic" not in name}


def plain(sql: str) -> str:
    return re.sub(r"\s+", " ", sql)


def test_an_upgrade_again_changes_nothing(empty_url: str, tmp_path: Path) -> None:
    migrate.upgrade(empty_url)
    database = Database.open(empty_url, tmp_path)
    database.write_now(lambda c: c.execute(schema.directory_version.update().values(version=5)))
    migrate.upgrade(empty_url)
    assert database.read_now(lambda c: c.execute(select(schema.directory_version)).all()) == [(1, 5)]
    database.close()


def test_an_upgrade_that_fails_leaves_nothing(empty_url: str, tmp_path: Path) -> None:
    migrate.upgrade(empty_url)
    database = Database.open(empty_url, tmp_path)
    database.write_now(lambda c: (c.execute(text("DELETE FROM alembic_version")), schema.tally.drop(c)))
    with pytest.raises(Exception, match="already exists"):
        migrate.upgrade(empty_url)
    assert not database.read_now(lambda c: inspect(c).has_table("tally"))
    database.close()


def test_a_new_sqlite_is_private_and_in_wal_mode(tmp_path: Path) -> None:
    migrate.upgrade("sqlite:///new/mail.db", tmp_path)
    assert stat.S_IMODE((tmp_path / "new/mail.db").stat().st_mode) == 0o600
    database = Database.open("sqlite:///new/mail.db", tmp_path)
    assert database.read_now(lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"
    assert database.write_now(lambda c: c.exec_driver_sql("PRAGMA foreign_keys").scalar()) == 1
    database.close()


def test_asking_for_the_revision_makes_no_file(tmp_path: Path) -> None:
    assert migrate.current("sqlite:///none.db", tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database_is_trouble(tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_text("this is not a database, it is a text" * 50)
    with pytest.raises(StoreTrouble, match="not a database"):
        migrate.upgrade("sqlite:///bad.db", tmp_path)


def test_the_steps_are_found_beside_an_installed_package(tmp_path: Path) -> None:
    checkout = Path(migrate.__file__).parents[2]
    shutil.copytree(checkout / "mailstack", tmp_path / "site/mailstack", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(checkout / "migrations", tmp_path / "site/mailstack/_migrations")
    program = "from mailstack.store import migrate; migrate.upgrade('sqlite:///a.db'); print(migrate.current('sqlite:///a.db'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "site",
        env={"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == migrate.head(), done.stderr
