"""An account owner's own new password, against the present one.

Neighbours: `accounts.change_password` is the same for administrators, who need not know the old one.
"""

from sqlalchemy import select

from mailstack.management import accounts
from mailstack.management.actor import Actor, Refused
from mailstack.management.acts import make_hashes
from mailstack.store.database import Connection, Database
from mailstack.store.passwords import verify_hash
from mailstack.store.schema import credential


class WrongPassword(Refused):
    """The present password is not right."""


def change(database: Database, actor: Actor, present: str, new: str, session_kept: int | None = None) -> None:
    """Give the actor's own account a new password and end its other panel sessions. Blocks for two hashes' time.

    Raises:
        WrongPassword: the present password is not right.
        Refused: the actor owns no account, or the new password cannot be one.
    """
    own = actor.account
    if own is None:
        raise Refused("you own no account; change an account's password on its page")

    def kept(connection: Connection) -> str | None:
        number, _ = accounts.number_of(connection, actor, own)
        is_it = (credential.c.account_id == number) & (credential.c.kind == "password")
        return connection.scalar(select(credential.c.hash).where(is_it))

    before = database.read_now(kept)
    if before is None or not verify_hash(present, before):
        raise WrongPassword("that is not your present password; type it again")
    secret = make_hashes(new)

    def replace(connection: Connection) -> None:
        number, key = accounts.lock_own(connection, actor, own)
        if kept(connection) != before:
            raise Refused("the password was changed meanwhile; nothing was done now")
        accounts.replace_password(connection, actor, number, key, secret, session_kept=session_kept)

    database.write_now(replace)
