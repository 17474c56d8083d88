"""Whom accounts have written to: a recipient who is not here is a first-time recipient.

Written in the commit that lets the mail go, so that the sum of `usage.first_time` and the rows here agree. Neighbours:
`store/submissions` and `store/held` count by it; `policy/limits` caps what is counted.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from mailstack.store.claims import read_address
from mailstack.store.rows import insert_rows
from mailstack.store.schema import known_recipient

_CHUNK = 500
_KEEP = "ON CONFLICT (account_id, address) DO NOTHING"


def recipient_key(recipient: str) -> str:
    """The form in which a recipient is known: `Address.key` of its address."""
    return read_address(recipient).key


def known_among(connection: Connection, account_id: int, keys: Iterable[str]) -> set[str]:
    """Those of the recipients (`recipient_key`) that an account has written to."""
    wanted = sorted(set(keys))
    found: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        found.update(
            connection.scalars(
                select(known_recipient.c.address).where(
                    known_recipient.c.account_id == account_id, known_recipient.c.address.in_(chunk)
                )
            )
        )
    return found


def is_first(keys: Sequence[str], known: set[str]) -> list[bool]:
    """For each recipient, whether it is a first-time one; who stands there twice is so once."""
    seen = set(known)
    firsts = []
    for key in keys:
        firsts.append(key not in seen)
        seen.add(key)
    return firsts


class KnownRecipients:
    """The known recipients as one transaction sees them: each is looked up once, all new ones are written at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[int, set[str]] = {}
        self._asked: dict[int, set[str]] = {}
        self._added: dict[tuple[int, str], int] = {}

    def firsts(self, account_id: int, keys: Sequence[str]) -> list[bool]:
        """For each recipient of a message, whether it is a first-time one."""
        self.load(account_id, keys)
        return is_first(keys, self._known[account_id])

    def load(self, account_id: int, keys: Iterable[str]) -> None:
        """Look recipients up together that are asked for one by one later."""
        known, asked = self._known.setdefault(account_id, set()), self._asked.setdefault(account_id, set())
        new = set(keys) - asked
        if new:
            asked |= new
            known |= known_among(self._connection, account_id, new)

    def add(self, account_id: int, keys: Iterable[str], at: int) -> None:
        """The account has written to these, at a moment in microseconds since 1970."""
        known = self._known[account_id]
        for key in keys:
            if key not in known:
                known.add(key)
                self._added[account_id, key] = at

    def write(self) -> None:
        """Write what was added; in order, so that two transactions never wait for each other."""
        if self._added:
            rows = [
                {"account_id": account_id, "address": key, "first_at": self._added[account_id, key]}
                for account_id, key in sorted(self._added)
            ]
            insert_rows(self._connection, known_recipient, rows, on_conflict=_KEEP)
            self._added.clear()
