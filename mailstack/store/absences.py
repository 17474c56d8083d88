"""Vacation replies as mail flow sees them: what to say, and who has been told.

Neighbours: `management/vacations` sets them; `reception/vacation` sends the answers.
"""

from sqlalchemy import Connection, delete, insert, select, update

from mailstack.store.schema import content, message, vacation, vacation_sent


def begin_answer(
    connection: Connection, account_id: int, sender: str, now: int, told_before: int
) -> tuple[str, str] | None:
    """Write down that a sender is answered now; the subject and body to say, or None when nothing is to be said.

    Args:
        connection: inside a transaction.
        account_id: who is away.
        sender: `Address.key` of who wrote.
        now: microseconds since 1970.
        told_before: who was told after that moment is not told again.
    """
    words = connection.execute(
        select(vacation.c.subject, vacation.c.body).where(vacation.c.account_id == account_id).with_for_update()
    ).first()
    if words is None:  # taken back meanwhile
        return None
    is_theirs = (vacation_sent.c.account_id == account_id) & (vacation_sent.c.address == sender)
    told_at = connection.scalar(select(vacation_sent.c.at).where(is_theirs))
    if told_at is not None and told_at > told_before:
        return None
    if told_at is None:
        connection.execute(insert(vacation_sent).values(account_id=account_id, address=sender, at=now))
    else:
        connection.execute(update(vacation_sent).where(is_theirs).values(at=now))
    return words.subject, words.body


def content_of(connection: Connection, queue_id: str) -> tuple[int, bytes | None, str | None] | None:
    """Size, octets and file of a message's content, as `ContentStore.stored` takes them; None when it is gone."""
    found = select(content.c.size_octets, content.c.body, content.c.file).join_from(message, content)
    row = connection.execute(found.where(message.c.id == queue_id)).first()
    return None if row is None else (row.size_octets, row.body, row.file)


def forget_answers(connection: Connection, before: int) -> None:
    """Delete who was told before a moment: they may be told again."""
    connection.execute(delete(vacation_sent).where(vacation_sent.c.at < before))
