"""Addresses, domains, statuses, replies and queue IDs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mail.address import NULL_SENDER, AddressError, parse_address
from mailstack.mail.domain import DomainError, domain_for_people, parse_domain
from mailstack.mail.queue_id import make_queue_id
from mailstack.mail.reply import Reply, reply
from mailstack.mail.status import EnhancedStatus, Status, take_status


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a@b.test", "a@b.test"),
        ("A.B+c@B.TEST.", "a.b+c@b.test"),
        ("müller@exämple.test", "müller@xn--exmple-cua.test"),
        ('"a b"@b.test', "a b@b.test"),
        ("x@[192.0.2.1]", "x@[192.0.2.1]"),
    ],
)
def test_addresses_that_are_read(text: str, key: str) -> None:
    assert parse_address(text).key == key


def test_one_local_part_has_one_key_however_its_accents_are_written() -> None:
    composed, decomposed = parse_address("b\u00e4rbel@example.org"), parse_address("Ba\u0308rbel@example.org")
    assert composed.key == decomposed.key == "b\u00e4rbel@example.org"
    assert str(decomposed) == "Ba\u0308rbel@example.org", "kept as it was given"


@pytest.mark.parametrize(
    "text", ["", "a", "@b.test", "a@", "a..b@b.test", "a b@b.test", "a@b..test", "x" * 65 + "@b.c"]
)
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


def test_utf8_needs_leave() -> None:
    with pytest.raises(AddressError, match="SMTPUTF8"):
        parse_address("ü@b.test", allow_utf8=False)


@given(st.emails())
def test_written_addresses_are_read_back(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert parse_address(str(address)) == address


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert parse_address(str(address)) == address


def test_tag_and_null_sender() -> None:
    assert str(parse_address("u+tag@b.test").without_tag()) == "u@b.test"
    assert str(parse_address("+tag@b.test").without_tag()) == "+tag@b.test"
    assert str(NULL_SENDER) == ""


def test_domains() -> None:
    assert parse_domain("Exämple.TEST.") == "xn--exmple-cua.test"
    assert domain_for_people("xn--exmple-cua.test") == "exämple.test"
    assert parse_domain("[192.0.2.1]") == "[192.0.2.1]"
    assert parse_domain("[IPv6:2001:DB8::1]") == "[ipv6:2001:db8::1]"
    for text in ("", ".", "a..b", "-a.b", "a_b c", "x" * 64 + ".test", "[1.2.3]", "[1.2.3.256]", "[IPv6:1::2::3]"):
        with pytest.raises(DomainError):
            parse_domain(text)


def test_status_is_taken_from_a_reply() -> None:
    assert take_status("5.1.1 no such user") == (EnhancedStatus(5, 1, 1), "no such user")
    assert take_status("5.1.1x no") == (None, "5.1.1x no")
    assert take_status("hello") == (None, "hello")


def test_reply_on_the_wire() -> None:
    assert reply(550, Status.UNKNOWN_MAILBOX, "no\nreally").octets == b"550-5.1.1 no\r\n550 5.1.1 really\r\n"
    assert Reply(354, None, "go on").octets == b"354 go on\r\n"
    assert Reply(550, None, "<ü@b.test>").octets == b"550 <\\xfc@b.test>\r\n"
    assert str(Reply(451, None, "later").effective_status) == "4.0.0"


@given(st.lists(st.integers(0, 2**35), min_size=2, max_size=20, unique=True), st.integers(0))
def test_queue_ids_sort_by_time(moments: list[int], bits: int) -> None:
    ids = [make_queue_id(moment / 1000, bits) for moment in sorted(moments)]
    assert ids == sorted(ids)
    assert all(len(name) == 15 and name[0] == "M" for name in ids)
