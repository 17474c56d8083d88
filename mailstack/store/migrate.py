"""temp"""

from pathlib import Path

from sqlalchemy import inspect, text

from mailstack.store import schema
from mailstack.store.engine import parse_url, writer_engine


def head() -> str:
    return "0001"


def upgrade(url: str) -> None:
    e = writer_engine(parse_url(url, Path()))
    with e.begin() as c:
        if not inspect(c).has_table("alembic_version"):
            schema.metadata.create_all(c)
            c.execute(schema.directory_version.insert().values(id=1, version=1))
            c.execute(text("create table alembic_version (version_num text)"))
            c.execute(text("insert into alembic_version values ('0001')"))
    e.dispose()


def current(url: str) -> str | None:
    e = writer_engine(parse_url(url, Path()))
    with e.begin() as c:
        r = (
            c.scalar(text("select version_num from alembic_version"))
            if inspect(c).has_table("alembic_version")
            else None
        )
    e.dispose()
    return r
