"""The Received field has the form of RFC 5321 section 4.4, whoever speaks."""

import re
from datetime import UTC, datetime

import pytest

from mailstack.mail.address import parse_address
from mailstack.mail.envelope import Envelope, Recipient
from mailstack.reception.received import received_field
from mailstack.smtp.questions import Service, SessionFacts

NOW = datetime(2026, 11, 5, 7, 8, 9, 10, UTC)
TLS = "TLSv1.3 TLS_AES_256_GCM_SHA384"
BOB, CAROL = (Recipient(parse_address(f"{name}@example.test")) for name in ("bob", "carol"))
STAMP = re.compile(
    r"Received: from (?P<origin>[\w.-]+|\[[\w.:]+\])(?: \((?P<address>\[[\w.:]+\])\))?"
    r"\r\n\tby mx\.example\.test with (?P<protocol>[A-Z0-9]+) id M1"
    r"(?:\r\n\t\(using (?P<tls>[^()]+)\))?"
    r"(?:\r\n\tfor <(?P<recipient>[^<>]+)>)?;"
    r"\r\n\tThu, 05 Nov 2026 07:08:09 \+0000\r\n\Z"
)


def stamp(recipients=(BOB,), smtputf8=False, **facts):
    session = SessionFacts(1, Service.MX, "192.0.2.1", helo="a.example", esmtp=True)
    for name, value in facts.items():
        setattr(session, name, value)
    envelope = Envelope(parse_address("a@b.example"), list(recipients), smtputf8=smtputf8)
    found = STAMP.match(received_field(session, envelope, "mx.example.test", "M1", NOW).decode())
    assert found
    return found.groupdict()


def test_it_says_who_came_and_for_whom():
    expected = {"origin": "a.example", "address": "[192.0.2.1]", "protocol": "ESMTP", "tls": None}
    assert stamp() == {**expected, "recipient": "bob@example.test"}


def test_several_recipients_are_not_told_of_each_other():
    assert stamp([BOB, CAROL])["recipient"] is None


def test_an_ipv6_address_is_a_literal_of_its_kind():
    assert stamp(client_address="2001:db8::1")["address"] == "[IPv6:2001:db8::1]"


def test_nothing_of_a_submitters_machine_is_told():
    told = stamp(tls=TLS, login="alice@example.test", helo="alices-laptop")
    assert (told["origin"], told["address"], told["tls"]) == ("authenticated-user", None, TLS)


@pytest.mark.parametrize(
    ("facts", "protocol"),
    [
        ({"esmtp": False}, "SMTP"),
        ({"tls": TLS}, "ESMTPS"),
        ({"tls": TLS, "login": "a@b.test"}, "ESMTPSA"),
        ({"smtputf8": True}, "UTF8SMTP"),
        ({"smtputf8": True, "tls": TLS, "login": "a@b.test"}, "UTF8SMTPSA"),
    ],
)
def test_the_protocol_has_its_registered_name(facts, protocol):
    assert stamp(**facts)["protocol"] == protocol
