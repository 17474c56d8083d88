"""Header sections: reading, mending at submission, refusing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mail.address import Address, parse_address
from mailstack.mail.header import (
    Field,
    HeaderError,
    complete_submission,
    count_received,
    mailboxes_of,
    message_id_of,
    read_fields,
    starts_with_field,
    subject_hash,
    subject_of,
)

ALICE = parse_address("alice@example.test")


def complete(section: bytes) -> tuple[bytes, list[Address]]:
    return complete_submission(section, sender=ALICE, date="DATE", message_id="<ID@host>")


def test_missing_fields_are_added_and_present_ones_kept() -> None:
    mended, authors = complete(b"Subject: x\r\n")
    assert mended == b"From: alice@example.test\r\nDate: DATE\r\nMessage-ID: <ID@host>\r\nSubject: x\r\n"
    assert authors == [ALICE]
    whole = b"FROM: a@b.test\r\ndate: then\r\nMessage-Id: <1@b>\r\n"
    assert complete(whole) == (whole, [parse_address("a@b.test")])


def test_bcc_is_taken_out_with_its_folding() -> None:
    mended, _ = complete(b"From: a@b.test\r\nBcc: c@d.test,\r\n e@f.test\r\nTo: g@h.test\r\n")
    assert b"c@d" not in mended
    assert b"e@f" not in mended
    assert b"To: g@h.test\r\n" in mended


def test_bcc_is_taken_out_and_nothing_that_looks_like_it() -> None:
    kept = b"From: a@b.test\r\nX-Bcc: c@d.test\r\nSubject: Bcc: c@d.test\r\n"
    mended, _ = complete(kept + b"Bcc: c@d.test\r\nbcc :e@f.test\r\nRESENT-BCC:\r\n\tg@h.test\r\n")
    assert mended == complete(kept)[0]


def test_a_field_begins_where_its_line_begins() -> None:
    assert [field.name for field in read_fields(b"no field From: a@b.test\r\nTo: c@d.test\r\n")] == [b"to"]


def test_a_refusal_names_the_field() -> None:
    with pytest.raises(HeaderError, match="the Sender field"):
        complete(b"From: a@b.test\r\nSender: nobody\r\n")


@pytest.mark.parametrize("name", [b"From", b"Date", b"Message-ID", b"Sender"])
def test_doubled_fields_are_refused(name: bytes) -> None:
    with pytest.raises(HeaderError, match="more than one"):
        complete(b"From: a@b.test\r\n" * (name != b"From") + (name + b": a@b.test\r\n") * 2)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.test", ["a@b.test"]),
        ("<a@b.test>", ["a@b.test"]),
        ("Ann Example <a@b.test>", ["a@b.test"]),
        ('"Example, Ann" <a@b.test>', ["a@b.test"]),
        ("a@b.test, c@d.test", ["a@b.test", "c@d.test"]),
        ("=?utf-8?q?J=C3=BCrgen?= <j@b.test>", ["j@b.test"]),
        ("Jürgen <j@b.test>", ["j@b.test"]),
        ("Ann\r\n <a@b.test>", ["a@b.test"]),
    ],
)
def test_from_is_read(value: str, expected: list[str]) -> None:
    (field,) = read_fields(f"From: {value}\r\n".encode())
    assert [str(address) for address in mailboxes_of(field)] == expected


@pytest.mark.parametrize("value", ["nobody", "a@b@c, x", "", "<>"])
def test_unreadable_from_is_refused(value: str) -> None:
    (field,) = read_fields(f"From: {value}\r\n".encode())
    with pytest.raises(HeaderError):
        mailboxes_of(field)


def test_received_fields_are_counted_not_their_mentions() -> None:
    section = b"Received: from a\r\n\tby b; received: no\r\nRECEIVED : from c\r\nX-Received: d\r\n"
    assert count_received(section) == 2


def test_message_id_is_found_without_brackets() -> None:
    assert message_id_of(read_fields(b"A: b\r\nMessage-ID:\r\n <x@y>\r\n")) == "x@y"
    assert message_id_of(read_fields(b"A: b\r\n")) == ""


def test_body_without_header_is_told_apart() -> None:
    assert starts_with_field(b"Subject: x\r\n")
    assert not starts_with_field(b"just words\r\n")
    assert not starts_with_field(b" folded: x\r\n")


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"") + b"\r\n"), max_size=12).map(b"".join))
def test_any_section_is_completed_or_refused(section: bytes) -> None:
    try:
        mended, authors = complete(section)
    except HeaderError:
        return
    names = [field.name for field in read_fields(mended)]
    assert authors
    assert b"bcc" not in names
    assert names.count(b"date") == names.count(b"message-id") == names.count(b"from") == 1


def section_with(subject: bytes) -> list[Field]:
    return list(read_fields(b"From: a@example.org\r\nSubject: " + subject + b"\r\nTo: b@example.org\r\n"))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"Hello  there", "Hello there"),
        (b"a folded\r\n subject", "a folded subject"),
        ("Grüße".encode(), "Grüße"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?= to all", "Grüße to all"),
        (b"=?no-such-charset?q?x?=", "=?no-such-charset?q?x?="),
    ],
)
def test_a_subject_is_read_as_people_see_it(written: bytes, read: str) -> None:
    assert subject_of(section_with(written)) == read


def test_a_message_is_found_by_its_subject_whatever_mail_clients_put_around_it() -> None:
    wanted = subject_hash("Offer no. 7")
    for written in ("offer  NO. 7", "Re: Offer no. 7", "AW: Re[2]: Fwd: Offer no. 7 "):
        assert subject_hash(written) == wanted
    assert subject_hash("Offer no. 8") != wanted
    assert subject_hash(" Re: ") == subject_hash("") == ""
