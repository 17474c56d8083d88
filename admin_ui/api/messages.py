"""Sending a mail, by the API: the same rules and limits as on the submission ports."""

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses

from flask import g
from msgspec import Struct, field

from admin_ui.api.operations import operation
from admin_ui.api.values import Body, NotDone
from admin_ui.core.acts import ask
from admin_ui.core.panel import panel
from mailstack.mail.address import Address
from mailstack.mail.reply import Reply
from mailstack.management import accounts
from mailstack.management.actor import Refused
from mailstack.management.acts import read_address

ACCEPTED_AS = "accepted as "


class NewMessage(Body, rename={"from_": "from"}):
    """A mail; `from`, `to`, `cc` and `bcc` are addresses with or without a name, `Ann <ann@example.org>`."""

    from_: str
    to: list[str]
    cc: list[str] = field(default_factory=list)
    bcc: list[str] = field(default_factory=list)
    reply_to: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""


class Accepted(Struct):
    """It is on disk; ask `/trace` for what becomes of it."""

    id: str
    recipients: int


@operation("POST", "/messages", "messages:send", "Send a mail", status=202)
def send_message(body: NewMessage) -> Accepted:
    """From the account of the token's owner or, for an administrator, from an account of theirs."""
    sender = _address(body.from_)
    recipients = [_address(text) for text in (*body.to, *body.cc, *body.bcc)]
    if not recipients:
        raise Refused("the mail has no recipient; name one or more in to, cc or bcc")
    account = g.person.name if g.person.account_id is not None else str(ask(accounts.get, str(sender)).address)
    content = _compose(body).as_bytes()
    reply = panel().submit(account, g.actor.source, sender, recipients, content)
    if not reply.is_positive:
        raise NotDone(_status_of(reply), f"the mail is not accepted: {reply}")
    return Accepted(reply.text.rpartition(ACCEPTED_AS)[2], len(recipients))


def _status_of(reply: Reply) -> int:
    """429 for a sending limit, 503 for passing trouble, 409 for what will not do at any time."""
    if not reply.is_transient:
        return 409
    return 429 if reply.status is not None and reply.status.subject == 7 else 503


def _address(text: str) -> Address:
    found = getaddresses([text])
    if len(found) != 1:
        raise Refused(f'"{text}" is not one address; write it like ann@example.org or Ann <ann@example.org>')
    return read_address(found[0][1])


def _compose(body: NewMessage) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    fields = {
        "From": body.from_,
        "To": ", ".join(body.to),
        "Cc": ", ".join(body.cc),
        "Reply-To": body.reply_to,
        "Subject": body.subject,
    }
    try:
        for name, value in fields.items():
            if value:
                message[name] = value
        message.set_content(body.text if body.text or not body.html else "This mail has an HTML part only.\n")
    except ValueError as error:  # a line end in a field
        raise Refused(f"the mail cannot be written: {error}") from None
    if body.html:
        message.add_alternative(body.html, subtype="html")
    return message
