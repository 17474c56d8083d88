"""Runs migrations on the connection that `mailstack/store/migrate` hands in.

For `alembic revision --autogenerate` and the like: `alembic -x url=sqlite:////tmp/scratch.db COMMAND`.
"""

from pathlib import Path

from alembic import context
from sqlalchemy import Connection

from mailstack.store.engine import parse_url, writer_engine
from mailstack.store.schema import metadata


def run(connection: Connection) -> None:
    """One transaction for all steps: both databases take DDL back."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,
        render_as_batch=True,  # SQLite changes a table by copying it
    )
    with context.begin_transaction():
        context.run_migrations()


handed_in = context.config.attributes.get("connection")
if handed_in is not None:
    run(handed_in)
else:
    engine = writer_engine(parse_url(context.get_x_argument(as_dictionary=True)["url"], Path.cwd()))
    with engine.begin() as own:
        run(own)
