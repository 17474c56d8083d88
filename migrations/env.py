"""Alembic's entry: runs the steps on the database that `mailstack/store/migrate` names."""

from pathlib import Path

from alembic import context

from mailstack.store.engine import parse_url, writer_engine
from mailstack.store.schema import metadata

engine = writer_engine(parse_url(context.config.attributes["url"], Path()))
with engine.begin() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    context.run_migrations()
engine.dispose()
