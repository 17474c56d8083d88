"""Plain words for the replies that postmasters meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mail.reply import Reply
from mailstack.policy.explain import explain, explain_text


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("550 5.1.1 <x@example.org>: no such user here", "no mailbox of this name"),
        ("452 4.2.2 The recipient's inbox is out of storage", "mailbox is full"),
        ("450 4.2.0 Greylisted, see http://example.org/", "come back a little later"),
        ("554 5.7.1 Service unavailable; blocked using zen.spamhaus.org", "block list"),
        ("421 4.7.23 The IP address sending this message does not have a PTR record", "(PTR)"),
        ("550 5.7.25 The IP address sending this message does not have a PTR record", "(PTR)"),
        ("421 4.7.27 SPF did not pass", "SPF"),
        ("550 5.7.26 This mail has been blocked because the sender is unauthenticated", "neither SPF nor DKIM"),
        ("550 5.7.29 TLS needed", "encrypted"),
        ("550 5.7.30 DKIM did not pass", "DKIM"),
        ("421 4.7.31 no DMARC", "DMARC"),
        ("421 4.7.32 From: header isn't aligned", "not the one that SPF or DKIM"),
        ("421 4.7.28 Gmail has detected an unusual rate of mail", "too much unwanted mail"),
        ("550 5.7.515 Access denied, sending domain example.org does not meet the required level", "Outlook.com asks"),
        ("421 4.7.0 [TSS04] Messages temporarily deferred due to unexpected volume", "more mail from this host"),
        ("556 5.1.10 the domain takes no mail", "null MX"),
        ("550 we do not like you", "does not take this mail"),
        ("499 something", "for now"),
        ("mx1.example.org[192.0.2.1]:25 said: 552 5.3.4 too big", "larger than"),
    ],
)
def test_means(text: str, means: str) -> None:
    explained = explain_text(text)
    assert explained is not None
    assert means in explained.meaning
    assert explained.next_step


def test_a_success_and_words_without_a_reply_need_no_explanation() -> None:
    assert explain(Reply(250, None, "ok")) is None
    assert explain_text("250 2.0.0 accepted as 3K") is None
    assert explain_text("into the mailbox") is None


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    explain_text(text)
    assert explain_text(f"550 x{text}") is not None
