"""What holds for the SMTP server's core whatever a client says: the same however it is cut, never an exception."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mailstack.config import Smtp
from mailstack.smtp.questions import Service
from mailstack.smtp.verbs import VERBS
from tests.smtp.core import Core
from tests.wire.test_lines import cut

LIMITS = Smtp(max_message_size=60, max_recipients=2, max_line=20, hard_errors=12)
SERVICES = st.sampled_from([Service.MX, Service.SUBMISSION])
PLACES = st.lists(st.integers(0, 2000), max_size=30)
REPLY = re.compile(rb"(?:\d{3}-[ -~]*\r\n)*\d{3} [ -~]*\r\n")
REPLIES = re.compile(b"(?:" + REPLY.pattern + b")*")
LOGIN = b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABwZW5jaWw=\r\n"
OPENINGS = [b"", b"EHLO a\r\n" + LOGIN, b"EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"]
WORDS = st.sampled_from(
    [
        b"EHLO a.example\r\n",
        b"HELO [192.0.2.1]\r\n",
        b"MAIL FROM:<a@example.org>\r\n",
        b"MAIL FROM:<later@example.org> SIZE=10\r\n",
        b"MAIL FROM:<\xc3\xa4@example.org> SMTPUTF8 BODY=8BITMIME\r\n",
        b"RCPT TO:<b@example.test>\r\n",
        b"RCPT TO:<unknown@example.test> NOTIFY=NEVER\r\n",
        b"RCPT TO:<raise@example.test>\r\n",
        b"RCPT TO:<nofinish@example.test>\r\n",
        b"DATA\r\n",
        b"Subject: a\r\n\r\n",
        b"..dots\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b"BDAT 4\r\nab\r\n",
        b"BDAT 0 LAST\r\n",
        b"BDAT 9 LAST\r\nQUIT\r\n",
        b"BDAT 70\r\n",
        b"x" * 30,
        b"RSET\r\n",
        b"NOOP\r\n",
        b"STARTTLS\r\n",
        LOGIN,
        b"AUTH LOGIN\r\n",
        b"AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9bm9uY2U=\r\n",
        b"YWxpY2VAZXhhbXBsZS50ZXN0\r\n",
        b"*\r\n",
        b"QUIT\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"\xff",
    ]
)
TALK = st.lists(WORDS | st.binary(max_size=10), max_size=40).map(b"".join)


def hear(service: Service, chunks: list[bytes]) -> tuple[bytes, list[str], bool]:
    """What the session says to the chunks, what it asked of the host, and whether it closed."""
    core = Core(service, tls="TLSv1.3 TLS_AES_256_GCM_SHA384", limits=LIMITS)
    said = b"".join(map(core.send, [b"", *chunks]))
    asked = [bug for bug in core.bugs if bug not in ("rcpt", "content ends")]
    assert asked == []
    return said, core.reception.log, core.is_closed


@given(SERVICES, st.sampled_from(OPENINGS), TALK, PLACES)
def test_any_chunking_gives_the_same_replies_and_questions(
    service: Service, opening: bytes, talk: bytes, places: list[int]
) -> None:
    whole = hear(service, [opening + talk])
    assert hear(service, cut(opening + talk, places)) == whole
    assert REPLIES.fullmatch(whole[0])


@given(service=SERVICES, line=st.binary(max_size=100).filter(lambda line: b"\r\n" not in line + b"\r"))
def test_what_is_no_command_gets_a_5xx_and_the_session_goes_on(service: Service, line: bytes) -> None:
    core = Core(service, limits=LIMITS)
    core.send()
    said = core.send(line + b"\r\nNOOP\r\n")
    if line.split(b" ")[0].strip().upper().decode("latin-1") not in VERBS:
        assert re.fullmatch(rb"5\d\d 5\.\d\.\d [ -~]*\r\n250 2\.0\.0 OK\r\n", said)


@given(st.lists(st.sampled_from(["NOOP", "RSET", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "FOO", "VRFY x"])))
def test_each_pipelined_command_gets_its_own_reply(commands: list[str]) -> None:
    core = Core(limits=Smtp(hard_errors=1000))
    core.send()
    core.send(b"HELO a\r\n")
    alone = Core(limits=Smtp(hard_errors=1000))
    alone.send()
    alone.send(b"HELO a\r\n")
    lines = [command.encode() + b"\r\n" for command in commands]
    each = [alone.send(line) for line in lines]
    assert all(REPLY.fullmatch(reply) for reply in each)
    assert core.send(b"".join(lines)) == b"".join(each)


@given(
    content=st.lists(st.sampled_from([b".", b"..", b"\r\n", b"a", b"\xe4\xff", b"x" * 15])).map(b"".join),
    chunked=st.booleans(),
    places=PLACES,
)
def test_content_arrives_byte_for_byte(content: bytes, chunked: bool, places: list[int]) -> None:
    content += b"" if content.endswith(b"\r\n") or not content else b"\r\n"
    core = Core(limits=Smtp())
    core.send()
    core.send(b"EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
    if chunked:
        parts = cut(content, places)
        sent = b"".join(b"BDAT %d\r\n%b" % (len(part), part) for part in parts) + b"BDAT 0 LAST\r\n"
    else:
        stuffed = re.sub(rb"(?:(?<=\r\n)|\A)\.", b"..", content)
        sent = b"DATA\r\n" + stuffed + b".\r\n"
    for piece in cut(sent, places):
        core.send(piece)
    assert core.reception.contents == [content]
