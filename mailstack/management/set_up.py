"""The first administrator: made by the one who started the host, with a token that `serve` prints.

The token is void after its use, and there is none once somebody may run the host. Neighbours: `administrators` makes
all others; `sign_in` lets them in.
"""

import hmac
import secrets

from sqlalchemy import Connection, select

from mailstack.management import administrators
from mailstack.management.actor import Actor, Refused
from mailstack.management.sign_in import digest
from mailstack.store.schema import administrator
from mailstack.store.settings import find_setting, put_setting, remove_setting

_TOKEN = "panel.setup_token"  # noqa: S105  # the name of a setting


def has_administrator(connection: Connection) -> bool:
    """Whether somebody can run this host from the panel."""
    return connection.scalar(select(administrator.c.id).limit(1)) is not None


def make_setup_token(connection: Connection) -> str | None:
    """A new token for the set-up page, the one before it is void; None when there is an administrator already."""
    if has_administrator(connection):
        return None
    token = secrets.token_urlsafe(24)
    put_setting(connection, _TOKEN, digest(token))
    return token


def is_setup_token(connection: Connection, token: str) -> bool:
    """Whether the token opens the set-up page; constant-time."""
    wanted = find_setting(connection, _TOKEN)
    return hmac.compare_digest(wanted or "", digest(token)) and not has_administrator(connection)


def make_first_administrator(connection: Connection, token: str, name: str, password_hash: str, source: str) -> None:
    """Make the first superadministrator and void the token.

    Raises:
        Refused: the token is void, or the name is no name.
    """
    if not is_setup_token(connection, token):
        raise Refused("this set-up link is void; take the one that the running server printed at its last start")
    administrators.add(connection, Actor(name, source, all_domains=True), name, password_hash)
    remove_setting(connection, _TOKEN)
