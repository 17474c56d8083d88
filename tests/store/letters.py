"""Letters, accounts and rules for tests of the accepting commit."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from mailstack.policy.limits import Over, Per, Rule
from mailstack.store import schema
from mailstack.store.acceptance import Addressed, LocalCopy, PreparedLetter, RemoteCopy
from mailstack.store.content import StagedContent
from mailstack.store.held import Released, find_releasable, release_held
from mailstack.store.submissions import Submitter

NOW = schema.micros(datetime(2027, 1, 1, tzinfo=UTC))
SECOND = 1_000_000


def add_account(connection: Connection, address: str = "ann@example.test") -> int:
    """An account and its domain; gives the account's number."""
    local, _, name = address.partition("@")
    domain_id = connection.scalar(select(schema.domain.c.id).where(schema.domain.c.name == name))
    if domain_id is None:
        row = {"name": name, "kind": "local", "created_at": NOW}
        domain_id = connection.scalar(insert(schema.domain).values(row).returning(schema.domain.c.id))
    account = {"domain_id": domain_id, "local_part": local, "created_at": NOW}
    account_id = connection.scalar(insert(schema.account).values(account).returning(schema.account.c.id))
    assert account_id is not None
    return account_id


def rule(
    recipients: int | None,
    *,
    messages: int | None = None,
    over: Over = Over.HOLD,
    per: Per = Per.HOUR,
    first_time: int | None = None,
) -> Rule:
    return Rule("*", per, messages, recipients, over, first_time)


def submitter(account_id: int, *rules: Rule) -> Submitter:
    return Submitter(account_id, 1, "ann@example.test", rules)


def remote(recipient: str) -> Addressed:
    copy = RemoteCopy(recipient, recipient.rpartition("@")[2], None, None)
    return Addressed(copy, remote=(copy,))


def local(account_id: int, recipient: str) -> Addressed:
    copy = LocalCopy(account_id, recipient, b"Return-Path: <>\r\n")
    return Addressed(RemoteCopy(recipient, recipient.rpartition("@")[2], None, None), local=(copy,))


def letter(queue_id: str, *recipients: Addressed, **values: Any) -> PreparedLetter:
    fields: dict[str, Any] = {
        "origin": "submission",
        "reverse_path": "ann@example.test",
        "content": StagedContent(7, b"hello\r\n", None),
        "header_message_id": f"{queue_id}@example.test",
        "subject_hash": "",
        "body": "7BIT",
        "smtputf8": False,
        "ret": None,
        "envid": None,
        "created_at": NOW,
        "detail": "from 192.0.2.1",
        "recipients": list(recipients),
    }
    return PreparedLetter(queue_id=queue_id, **(fields | values))


def release(connection: Connection, rules_of: Callable[[int], Sequence[Rule]], now: int) -> list[Released]:
    """One turn of releasing what is held."""
    turn = find_releasable(connection, rules_of, now)
    return release_held(connection, turn.holders, rules_of, now)


def is_anything_held(connection: Connection) -> bool:
    """Whether limits or a freeze hold anything that they may let go."""
    return connection.scalar(select(schema.delivery.c.id).where(schema.delivery.c.held_for.is_not(None))) is not None
