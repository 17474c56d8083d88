import email
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mail.downgrade import DowngradeError, downgrade, encode_quoted_printable
from mailstack.mail.scan import MAX_LINE_OCTETS, ContentScan

UTF8_TEXT = "Grüße aus Köln\r\n.\r\nFrom here = there \r\n".encode()


def message(kind, body, encoding="8bit"):
    header = f"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding:\r\n {encoding}\r\n"
    return header.encode() + b"X-Last: y\r\n\r\n" + body


def leaves(content):
    return [
        (part.get_content_type(), part.get_payload(decode=True))
        for part in email.message_from_bytes(content).walk()
        if not part.is_multipart()
    ]


def assert_seven_bit(content):
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= MAX_LINE_OCTETS
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")


def test_text_decodes_to_the_same():
    down = downgrade(message("text/plain; charset=utf-8", UTF8_TEXT))
    assert_seven_bit(down)
    assert leaves(down) == [("text/plain", UTF8_TEXT)]
    assert b"X-Last: y\r\n" in down
    assert down.lower().count(b"content-transfer-encoding") == 1


def test_seven_bit_content_is_not_touched():
    plain = message("text/plain", b"hello\r\n", "7bit")
    assert downgrade(plain) is plain


def test_without_mime_fields_they_are_added():
    down = downgrade(b"Subject: x\r\n\r\n" + UTF8_TEXT)
    parsed = email.message_from_bytes(down)
    assert parsed["MIME-Version"] == "1.0"
    assert parsed.get_content_charset() == "utf-8"
    assert parsed.get_payload(decode=True) == UTF8_TEXT


def test_without_any_header():
    assert email.message_from_bytes(downgrade(b"\r\n" + UTF8_TEXT)).get_payload(decode=True) == UTF8_TEXT


def test_multipart_by_parts():
    inner = message("text/html; charset=utf-8", UTF8_TEXT)
    embedded = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + inner
    plain = b"Content-Type: text/plain\r\n\r\nall ASCII --b x"
    binary = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n" + bytes(range(128, 256))
    body = b"pr\xc3\xa4\r\n--b\r\n" + b"\r\n--b\r\n".join([plain, embedded, binary, b""]) + b"\r\n--b--\r\nepilogue"
    down = downgrade(message('multipart/mixed; boundary="b"', body))
    assert_seven_bit(down)
    assert plain in down
    assert down.endswith(b"\r\n--b--\r\nepilogue")
    found = leaves(down)
    assert found[:3] == [
        ("text/plain", b"all ASCII --b x"),
        ("text/html", UTF8_TEXT),
        ("image/png", bytes(range(128, 256))),
    ]


def test_long_lines_are_broken():
    body = b"x" * 3000 + b"\r\nshort\r\n"
    down = downgrade(message("text/plain", body, "7bit"))
    assert_seven_bit(down)
    assert leaves(down) == [("text/plain", body)]
    down = downgrade(message("application/pdf", b"A" * 4000, "base64"))
    assert_seven_bit(down)
    assert leaves(down) == [("application/pdf", b"\0" * 3000)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("Subject: ü\r\n\r\nü".encode(), "5.6.7"),
        (message("multipart/signed; boundary=b", b"--b\r\n\r\n\xff\r\n--b--"), "5.6.3"),
        (message("multipart/mixed", b"--b\r\n\r\n\xff\r\n--b--"), "5.6.3"),
        (message("multipart/mixed; boundary=b", b"\xff"), "5.6.3"),
        (message("message/partial", b"\xff"), "5.6.3"),
        (message("text/plain", b"\xff", "x-uuencode"), "5.6.3"),
        (message("multipart/mixed; boundary=b", b"--b\r\n\r\n\xff\r\n--b--", "base64"), "5.6.3"),
    ],
)
def test_what_cannot_be_converted(content, words):
    with pytest.raises(DowngradeError) as caught:
        downgrade(content)
    assert caught.value.status.value == tuple(int(number) for number in words.split(".")[1:])


def test_endless_nesting_ends():
    content = b"\xff"
    for number in range(60):
        content = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%b\r\n--b%d--\r\n" % (
            number,
            number,
            content,
            number,
        )
    with pytest.raises(DowngradeError):
        downgrade(content)


@given(st.binary(max_size=3000))
def test_any_text_comes_back(raw):
    body = raw.replace(b"\r", b"").replace(b"\n", b"\r\n") + b"\xff"
    down = downgrade(message("text/plain; charset=utf-8", body))
    assert_seven_bit(down)
    assert leaves(down) == [("text/plain", body)]


@given(st.binary(max_size=500))
def test_quoted_printable_is_exact(raw):
    import quopri

    encoded = encode_quoted_printable(raw)
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    assert (
        quopri.decodestring(encoded.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n") == raw
        or b"\r" in raw
        or b"\n" in raw
    )


@given(st.text("ü\r\n a:", max_size=60), st.lists(st.integers(0, 80), max_size=6))
def test_a_scan_finds_the_same_however_it_is_cut(text, cuts):
    content = text.encode()
    whole, parts = ContentScan(), ContentScan()
    whole.feed(content)
    edges = [0, *sorted(cuts), len(content)]
    for start, end in pairwise(edges):
        parts.feed(content[start:end])
    for name in ("eight_bit", "header_eight_bit"):
        assert getattr(whole, name) == getattr(parts, name)
    assert whole.eight_bit == (not content.isascii())


def test_scan():
    scan = ContentScan()
    for octet in b"A: b\r\n\r\n" + b"x" * 999 + "\r\nü".encode():
        scan.feed(bytes([octet]))
    assert (scan.eight_bit, scan.header_eight_bit, scan.longest_line) == (True, False, 999)
    scan = ContentScan()
    scan.feed("A: ü\r\n\r\nx\r\n".encode())
    assert (scan.header_eight_bit, scan.longest_line) == (True, 5)
