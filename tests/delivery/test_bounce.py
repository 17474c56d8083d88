"""Reports read back with the standard library: every field, every wish, and peers that try to break out of them."""

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.delivery.bounce import (
    FULL_MOST_OCTETS,
    Action,
    Report,
    ReportedRecipient,
    is_wanted,
    make_report,
    report_envelope,
    returns_whole,
)
from mailstack.mail.address import NULL_SENDER, parse_address
from mailstack.mail.envelope import Body, Envelope, Notify, Recipient, Ret
from mailstack.mail.reply import Reply
from mailstack.mail.status import EnhancedStatus

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
HEADER = b"Message-ID: <first@example.org>\r\nSubject: Hello\r\nFrom: alice@example.org\r\n"
WHOLE = HEADER + b"\r\nThe body.\r\n"


def told(**changes: object) -> ReportedRecipient:
    values = {
        "recipient": Recipient(parse_address("bob@example.net"), orcpt="rfc822;Bob@example.net"),
        "action": Action.FAILED,
        "status": EnhancedStatus(5, 1, 1),
        "reply": Reply(550, EnhancedStatus(5, 1, 1), "no such user here"),
        "peer": "mx1.example.net[192.0.2.1]:25",
        "attempted_at": NOW,
    }
    return ReportedRecipient(**(values | changes))


def report(*recipients: ReportedRecipient, original: bytes = WHOLE, **envelope: object) -> Report:
    wishes = {"reverse_path": parse_address("alice@example.org"), "envid": "QQ314159"} | envelope
    return Report(
        hostname="mx.example.org",
        queue_id="M0123456789ABCD",
        envelope=Envelope(**wishes),
        arrived_at=NOW - timedelta(days=1),
        now=NOW,
        token="f00dfeedf00dfeed",
        recipients=recipients or (told(),),
        original=original,
    )


def parts(content: bytes):
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert not message.defects
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    children = list(message.iter_parts())
    assert len(children) == 3
    return message, *children


def status_blocks(part) -> list:
    """Each block of a delivery-status; the library splits the ASCII form, the global one stays text."""
    if part.get_content_type() == "message/delivery-status":
        return part.get_payload()
    payload = part.get_payload()
    text = payload[0].as_string() if isinstance(payload, list) else payload
    return [email.message_from_string(block) for block in text.replace("\r\n", "\n").strip().split("\n\n")]


def test_every_field_of_a_failure():
    message, words, status, original = parts(make_report(report()))
    assert message["From"] == "Mail Delivery System <postmaster@mx.example.org>"
    assert message["To"] == "alice@example.org"
    assert message["Subject"] == "Undelivered mail: bob@example.net"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["References"] == "<first@example.org>"
    assert message["Message-ID"] == "<f00dfeedf00dfeed@mx.example.org>"
    assert message["Date"].datetime == NOW
    assert "bob@example.net" in words.get_content()
    assert "no such user here" in words.get_content()
    assert "Check the address" in words.get_content()
    about, block = status_blocks(status)
    assert dict(about.items()) == {
        "Reporting-MTA": "dns; mx.example.org",
        "Original-Envelope-Id": "QQ314159",
        "Arrival-Date": "Tue, 03 Mar 2026 12:30:00 +0000",
    }
    assert dict(block.items()) == {
        "Original-Recipient": "rfc822; Bob@example.net",
        "Final-Recipient": "rfc822; bob@example.net",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx1.example.net",
        "Diagnostic-Code": "smtp; 550 5.1.1 no such user here",
        "Last-Attempt-Date": "Wed, 04 Mar 2026 12:30:00 +0000",
    }
    assert original.get_content_type() == "text/rfc822-headers"
    assert "The body." not in original.get_payload()
    assert "Subject: Hello" in original.get_payload()


def test_a_delay_says_until_when_it_is_tried():
    until = NOW + timedelta(days=4)
    content = make_report(report(told(action=Action.DELAYED, status=EnhancedStatus(4, 4, 1), retry_until=until)))
    message, words, status, _ = parts(content)
    assert message["Subject"].startswith("Delayed mail")
    assert "8 March 2026, 12:30 UTC" in words.get_content()
    assert "need not send it again" in " ".join(words.get_content().split())
    block = status_blocks(status)[1]
    assert block["Action"] == "delayed"
    assert block["Will-Retry-Until"] == "Sun, 08 Mar 2026 12:30:00 +0000"


def test_recipients_that_failed_together_share_a_report():
    other = told(recipient=Recipient(parse_address("carol@example.net")))
    message, _, status, _ = parts(make_report(report(told(), other)))
    assert message["Subject"] == "Undelivered mail: bob@example.net and 1 more"
    assert [block["Final-Recipient"] for block in status_blocks(status)[1:]] == [
        "rfc822; bob@example.net",
        "rfc822; carol@example.net",
    ]


def test_words_of_ours_are_not_called_smtp():
    ours = told(reply=Reply(450, None, "the name servers of example.net do not answer"), peer="example.net")
    block = status_blocks(parts(make_report(report(ours)))[2])[1]
    assert block["Diagnostic-Code"].startswith("x-mailstack; ")
    assert "Remote-MTA" not in block


def test_ret_full_returns_a_failed_message_whole_and_only_then():
    whole = parts(make_report(report(ret=Ret.FULL)))[3]
    assert whole.get_content_type() == "message/rfc822"
    assert whole.get_payload()[0].get_payload().rstrip() == "The body."
    delayed = told(action=Action.DELAYED)
    assert parts(make_report(report(delayed, ret=Ret.FULL)))[3].get_content_type() == "text/rfc822-headers"
    envelope = report(ret=Ret.FULL).envelope
    assert not returns_whole(envelope, FULL_MOST_OCTETS + 1, Action.FAILED)
    assert not returns_whole(replace(envelope, body=Body.BINARY), 10, Action.FAILED)
    long_line = HEADER + b"\r\n" + b"x" * 1200 + b"\r\n"
    assert parts(make_report(report(original=long_line, ret=Ret.FULL)))[3].get_content_type() == "text/rfc822-headers"


def test_addresses_beyond_ascii_take_the_global_forms():
    utf8 = told(recipient=Recipient(parse_address("bjørn@blåbær.example")), reply=Reply(550, None, "ukjent bjørn"))
    content = make_report(report(utf8, reverse_path=parse_address("åse@example.org"), smtputf8=True))
    message, words, status, original = parts(content)
    assert "åse@example.org" in content.decode()
    assert "bjørn@blåbær.example" in words.get_content()
    assert status.get_content_type() == "message/global-delivery-status"
    assert original.get_content_type() == "message/global-headers"
    assert "Final-Recipient: utf-8; bjørn@xn--blbr-roah.example\r\n" in content.decode()
    assert "ukjent bjørn" in content.decode()
    assert message["Subject"] == "Undelivered mail"
    envelope = report_envelope(report(utf8, reverse_path=parse_address("åse@example.org")), content)
    assert envelope.smtputf8
    assert envelope.body is Body.EIGHT_BIT


def test_an_ascii_report_about_utf8_words_stays_seven_bit():
    content = make_report(report(told(reply=Reply(550, None, "bruker ukjent: bjørn"))))
    assert content.isascii()
    assert "bjørn" in parts(content)[1].get_content()


def test_the_envelope_of_a_report_is_never_answered():
    envelope = report_envelope(report(), b"plain")
    assert envelope.reverse_path == NULL_SENDER
    assert envelope.recipients == [Recipient(parse_address("alice@example.org"), notify=Notify.NEVER)]
    assert not envelope.smtputf8
    assert envelope.body is Body.SEVEN_BIT


@pytest.mark.parametrize(
    ("notify", "wanted"),
    [
        (None, {Action.FAILED, Action.DELAYED}),
        (Notify.NEVER, set()),
        (Notify.FAILURE, {Action.FAILED}),
        (Notify.DELAY, {Action.DELAYED}),
        (Notify.SUCCESS, {Action.DELIVERED, Action.RELAYED, Action.EXPANDED}),
    ],
)
def test_notify_is_honoured(notify, wanted):
    recipient = Recipient(parse_address("bob@example.net"), notify=notify)
    assert {action for action in Action if is_wanted(recipient, action)} == wanted


@given(
    st.text(max_size=2000),
    st.text(max_size=100),
    st.text(max_size=60),
    st.binary(max_size=3000),
    st.sampled_from([None, Ret.FULL]),
    st.booleans(),
)
def test_nothing_from_outside_breaks_the_structure(words, peer, envid, original, ret, is_utf8):
    hostile = told(
        reply=Reply(550, None, f"{words}\r\nBcc: victim@example.com\r\n\r\n--=_f00dfeedf00dfeed"),
        peer=f"{peer}[192.0.2.1]",
        recipient=Recipient(parse_address("bob@example.net"), orcpt=f"rfc822;{words[:400]}"),
    )
    content = make_report(report(hostile, original=original, ret=ret, envid=envid, smtputf8=is_utf8))
    message, _, status, _ = parts(content)
    lines = content.split(b"\r\n")
    assert all(len(line) <= 998 and b"\r" not in line and b"\n" not in line and b"\0" not in line for line in lines)
    blocks = status_blocks(status)
    assert len(blocks) == 2
    assert blocks[1]["Action"] == "failed"
    assert not any("Bcc" in headers for headers in (message, *message.iter_parts(), *blocks))


def test_a_boundary_in_the_content_is_not_taken_for_ours():
    sly = HEADER + b"\r\n--=_f00dfeedf00dfeed\r\nContent-Type: text/html\r\n\r\nno\r\n--=_f00dfeedf00dfeed--\r\n"
    whole = parts(make_report(report(original=sly, ret=Ret.FULL)))[3]
    assert "Content-Type: text/html" in whole.as_string()
