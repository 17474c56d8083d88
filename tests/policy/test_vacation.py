"""Who is answered while somebody is away, and how the answer reads."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mail.address import NULL_SENDER, parse_address
from mailstack.mail.header import Field, read_fields
from mailstack.policy.vacation import Away, make_answer, refuse_answer

ANN = parse_address("ann@example.test")
SENDER = parse_address("sam@far.test")
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def fields(*lines: str) -> list[Field]:
    return list(read_fields("".join(f"{line}\r\n" for line in lines).encode()))


def why_not(*lines: str, sender: str = "sam@far.test", to: str = "To: Ann <ann@example.test>") -> str | None:
    path = parse_address(sender) if sender else NULL_SENDER
    return refuse_answer(path, fields(to, *lines), lambda address: address.key == ANN.key)


@pytest.mark.parametrize(
    ("lines", "to"),
    [
        ((), "To: Ann <ann@example.test>"),
        (("Cc: x@y.test, ANN@example.test",), "To: broken"),
        (("Auto-Submitted: no",), "To: ann@example.test"),
        (("Precedence: first-class",), "To: a <b@c.test>,\r\n ann@example.test"),
        (("X-Auto-Response-Suppress: None",), "Resent-To: ann@example.test"),
    ],
)
def test_what_a_person_wrote_is_answered(lines: tuple[str, ...], to: str) -> None:
    assert why_not(*lines, to=to) is None


@pytest.mark.parametrize(
    "line",
    [
        "Auto-Submitted: auto-generated",
        "AUTO-SUBMITTED: Auto-Replied; owner-email=x",
        "List-Id: <list.far.test>",
        "List-Unsubscribe: <https://far.test/>",
        "Mailing-List: contact x",
        "Precedence: bulk",
        "Precedence: LIST",
        "Precedence: junk",
        "X-Auto-Response-Suppress: OOF, AutoReply",
    ],
)
def test_lists_and_robots_are_not_answered(line: str) -> None:
    assert why_not(line) is not None


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "MAILER-DAEMON@far.test",
        "owner-list@far.test",
        "list-request@far.test",
        "list-owner@far.test",
        "list-bounces@far.test",
        "bounces+ann=example.test@far.test",
        "no-reply@far.test",
        "noreply@far.test",
        "do-not-reply@far.test",
        "majordomo@far.test",
        "ann@example.test",
    ],
)
def test_senders_that_are_not_answered(sender: str) -> None:
    assert why_not(sender=sender) is not None


@pytest.mark.parametrize("sender", ["replyer@far.test", "norman@far.test", "bouncer@far.test", "owner@far.test"])
def test_people_with_such_names_are(sender: str) -> None:
    assert why_not(sender=sender) is None


@pytest.mark.parametrize("to", ["To: others@example.test", "X-To: ann@example.test", "To: undisclosed-recipients:;"])
def test_mail_that_does_not_name_the_account_is_not_answered(to: str) -> None:
    assert why_not(to=to) is not None


def answer(away: Away, *lines: str) -> bytes:
    return make_answer(away, SENDER, fields(*lines), NOW, "<token@mx.example.test>")


def text_of(mail: EmailMessage) -> str:
    return str(mail.get_content()).replace("\r\n", "\n")


def test_an_answer_stands_beside_what_it_answers() -> None:
    octets = answer(
        Away(ANN, "", "Back on Monday.\n\nAnn"), "Subject: Lunch?", "Message-ID: <a@far>", "References: <z@far>"
    )
    mail = message_from_bytes(octets, policy=default)
    assert (mail["From"], mail["To"]) == ("ann@example.test", "sam@far.test")
    assert mail["Subject"] == "Auto: Lunch?"
    assert (mail["In-Reply-To"], mail["References"]) == ("<a@far>", "<z@far> <a@far>")
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["Message-ID"] == "<token@mx.example.test>"
    assert text_of(mail) == "Back on Monday.\n\nAnn\n"
    assert all(line.endswith(b"\r\n") for line in octets.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("said", "asked", "told"),
    [
        ("Away", "Subject: x", "Away"),
        ("Im Süden", "Subject: x", "Im Süden"),
        ("", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Auto: Grüße"),
        ("", "Subject: Grüße", "Auto: Grüße"),
        ("", "X: y", "Auto: your message"),
        ("", "Subject: one\r\n two\r\n\tthree", "Auto: one two three"),
    ],
)
def test_subjects(said: str, asked: str, told: str) -> None:
    octets = answer(Away(ANN, said, "b"), asked)
    assert octets.isascii()
    assert message_from_bytes(octets, policy=default)["Subject"] == told


def test_nothing_of_a_stranger_becomes_structure() -> None:
    octets = answer(Away(ANN, "", "b"), "Subject: a\x0bb\x85Bcc: x@y.test " + "x" * 5000, "Message-ID: <a b>")
    mail = message_from_bytes(octets, policy=default)
    assert mail["Bcc"] is None
    assert mail["In-Reply-To"] is None
    assert max(map(len, octets.split(b"\r\n"))) < 998


def test_a_long_body_keeps_to_the_length_of_a_line() -> None:
    octets = answer(Away(ANN, "", "é" * 4000 + "\n.\nend"), "Subject: x")
    assert max(map(len, octets.split(b"\r\n"))) <= 78
    assert text_of(message_from_bytes(octets, policy=default)) == "é" * 4000 + "\n.\nend\n"


_LINES = st.lists(
    st.tuples(
        st.sampled_from(["To", "Cc", "Subject", "References", "Message-ID", "Auto-Submitted", "X"]),
        st.binary(max_size=80) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    ),
    max_size=6,
)


@given(_LINES)
def test_whatever_a_stranger_writes_is_judged_and_answered_in_form(lines: list[tuple[str, bytes]]) -> None:
    section = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in lines)
    read = list(read_fields(section))
    refuse_answer(SENDER, read, lambda address: address.key == ANN.key)
    octets = make_answer(Away(ANN, "", "b"), SENDER, read, NOW, "<token@mx.example.test>")
    header, _, body = octets.partition(b"\r\n\r\n")
    assert body == b"b\r\n"
    assert octets.isascii()
    assert b"\r" not in octets.replace(b"\r\n", b"")
    assert b"\n" not in octets.replace(b"\r\n", b"")
    names = [line.partition(b":")[0] for line in header.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    assert set(names) <= ALLOWED
    assert len(names) == len(set(names))


ALLOWED = {
    b"From",
    b"To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"In-Reply-To",
    b"References",
    b"Auto-Submitted",
    b"X-Auto-Response-Suppress",
    b"MIME-Version",
    b"Content-Type",
    b"Content-Transfer-Encoding",
}
