"""Mail that comes in without an SMTP session: from the HTTP API, for an account that has proven who it is there.

It is asked the same questions in the same order as a session on the submission port, so that names, limits, quotas and
the header's mending are the same. Neighbours: `submission` answers; `app.py` hands this to the panel.
"""

from collections.abc import Sequence
from itertools import count

from mailstack.mail.address import Address
from mailstack.mail.envelope import Body, Envelope, Recipient
from mailstack.mail.reply import Reply
from mailstack.reception.submission import Submission
from mailstack.smtp.questions import ContentSink, Service, SessionFacts

PIECE_OCTETS = 64 * 1024
"""Content is given in pieces of what a socket would bring, so that a large one is staged as it comes."""

_numbers = count(1)


async def hand_over(
    submission: Submission,
    account: str,
    client_address: str,
    reverse_path: Address,
    recipients: Sequence[Address],
    content: bytes,
) -> Reply:
    """Submit one message.

    Args:
        submission: answers as it does on the submission ports.
        account: the account's address, its owner known.
        client_address: where the request came from.
        reverse_path: whom failures are reported to; must belong to the account.
        recipients: one or more; the first that is refused ends it all.
        content: header and body, lines ended by CRLF.

    Returns:
        The 250 with the queue ID, or the first refusal.
    """
    session = SessionFacts(next(_numbers), Service.SUBMISSION, client_address, helo="api", esmtp=True, login=account)
    is_utf8 = not all(str(address).isascii() for address in (reverse_path, *recipients))
    body = Body.SEVEN_BIT if content.isascii() else Body.EIGHT_BIT
    envelope = Envelope(reverse_path, body=body, smtputf8=is_utf8, size_octets=len(content))
    answer = await submission.mail_from(session, envelope, None)
    for address in recipients:
        if not answer.is_positive:
            return answer
        recipient = Recipient(address)
        answer = await submission.rcpt_to(session, envelope, recipient)
        envelope.recipients.append(recipient)
    return await _pour(submission.content_begins(session, envelope), content) if answer.is_positive else answer


async def _pour(sink: ContentSink, content: bytes) -> Reply:
    try:
        for start in range(0, len(content), PIECE_OCTETS):
            waiting = sink.write(content[start : start + PIECE_OCTETS])
            if waiting is not None:
                await waiting
    except BaseException:
        sink.abandon()
        raise
    return await sink.finish()
