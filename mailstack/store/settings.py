"""Small values of the host that live in the database: secrets and tokens, one for all nodes and all starts.

Neighbours: `management/sign_in` and `set_up` keep the panel's here, `app.py` the one behind SCRAM salts.
"""

import secrets

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mailstack.store.schema import setting

SCRAM_SECRET = "scram.secret"  # noqa: S105  # the name of a setting


def find_setting(connection: Connection, name: str) -> str | None:
    """The value kept under a name."""
    return connection.scalar(select(setting.c.value).where(setting.c.name == name))


def put_setting(connection: Connection, name: str, value: str) -> None:
    """Keep a value under a name, in place of the one before."""
    if not connection.execute(update(setting).where(setting.c.name == name).values(value=value)).rowcount:
        connection.execute(insert(setting).values(name=name, value=value))


def lasting_secret(connection: Connection, name: str) -> str:
    """The secret of that name, made when it is first asked for; nodes that ask at once get the same."""
    found = find_setting(connection, name)
    if found is not None:
        return found
    made = secrets.token_urlsafe(32)
    try:
        with connection.begin_nested():
            connection.execute(insert(setting).values(name=name, value=made))
    except IntegrityError:  # another node was first
        return find_setting(connection, name) or made
    return made


def remove_setting(connection: Connection, name: str) -> None:
    """Forget the value of a name."""
    connection.execute(delete(setting).where(setting.c.name == name))


def prove_writable(connection: Connection) -> None:
    """Write what leaves nothing behind: its commit shows that the database and its disk take more."""
    name = f"proof.{secrets.token_hex(8)}"  # one of its own: nodes that prove at once do not wait for each other
    connection.execute(insert(setting).values(name=name, value=""))
    remove_setting(connection, name)
