"""Dialogs on the pure client: what we say, what the peer answers, what comes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mail.outcome import Deferred, Delivered, Failed
from mailstack.smtp.client import (
    ClientSession,
    Credentials,
    Ended,
    Ready,
    Refused,
    SendContent,
    StartTls,
    State,
    TlsPolicy,
)
from mailstack.smtp.client_transaction import Transaction, is_too_many

PIPELINING = b"250-mx\r\n250 PIPELINING\r\n"


def ready(ehlo=b"250 mx\r\n"):
    session = ClientSession("us.example", "mx[192.0.2.1]:25")
    assert session.receive(b"220 mx\r\n") == []
    assert session.take_output() == b"EHLO us.example\r\n"
    assert session.receive(ehlo) == [Ready()]
    return session


def transaction(recipients=2, size=10):
    return Transaction(b"MAIL FROM:<>\r\n", [b"RCPT TO:<%d>\r\n" % i for i in range(recipients)], size)


def begin(session, **kwargs):
    session.begin(transaction(**kwargs))
    return session.take_output()


def outcomes(events):
    (ended,) = events
    assert isinstance(ended, Ended)
    return [(type(outcome), outcome.reply.code) for outcome in ended.outcomes]


def test_pipelined_envelope_goes_in_one_write():
    session = ready(PIPELINING)
    assert begin(session) == b"MAIL FROM:<>\r\nRCPT TO:<0>\r\nRCPT TO:<1>\r\nDATA\r\n"
    assert session.state is State.MAIL
    assert session.receive(b"250 ok\r\n250 ok\r\n") == []
    assert session.state is State.RCPT
    assert session.receive(b"550 5.1.1 who?\r\n354 go\r\n") == [SendContent(dotted=True)]
    session.content_sent()
    assert session.state is State.FINAL
    assert outcomes(session.receive(b"250 2.0.0 queued\r\n")) == [(Delivered, 250), (Failed, 550)]
    assert begin(session, recipients=1).startswith(b"MAIL")


def test_without_pipelining_one_command_at_a_time():
    session = ready()
    assert begin(session) == b"MAIL FROM:<>\r\n"
    session.receive(b"250 ok\r\n")
    assert session.take_output() == b"RCPT TO:<0>\r\n"
    session.receive(b"450 later\r\n")
    assert session.take_output() == b"RCPT TO:<1>\r\n"
    session.receive(b"250 ok\r\n")
    assert session.take_output() == b"DATA\r\n"
    assert session.receive(b"354 go\r\n") == [SendContent(dotted=True)]
    session.content_sent()
    assert outcomes(session.receive(b"554 no\r\n")) == [(Deferred, 450), (Failed, 554)]


def test_no_recipient_left_without_pipelining_asks_for_no_data():
    session = ready()
    begin(session, recipients=1)
    session.receive(b"250 ok\r\n")
    session.take_output()
    assert outcomes(session.receive(b"550 no\r\n")) == [(Failed, 550)]
    assert session.take_output() == b""
    assert begin(session) == b"RSET\r\n"
    session.receive(b"250 ok\r\n")
    assert session.take_output() == b"MAIL FROM:<>\r\n"


def test_mail_refused_decides_for_all():
    session = ready(PIPELINING)
    begin(session)
    assert session.receive(b"452 4.3.1 disk\r\n503 x\r\n503 x\r\n") == []
    assert outcomes(session.receive(b"503 x\r\n")) == [(Deferred, 452)] * 2
    assert begin(session).startswith(b"RSET\r\nMAIL")


def test_lone_dot_when_data_is_taken_though_nobody_is():
    session = ready(PIPELINING)
    begin(session)
    assert session.receive(b"250 ok\r\n550 no\r\n451 no\r\n354 go\r\n") == []
    assert session.take_output() == b".\r\n"
    assert outcomes(session.receive(b"250 strange\r\n")) == [(Failed, 550), (Deferred, 451)]
    assert session.state is State.READY


@pytest.mark.parametrize("code", [b"451", b"554"])
def test_data_refused_holds_for_the_accepted(code):
    session = ready(PIPELINING)
    begin(session)
    expected = Deferred if code == b"451" else Failed
    events = session.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n" + code + b" no\r\n")
    assert outcomes(events) == [(expected, int(code))] * 2


def test_bdat_only_after_a_recipient_is_accepted():
    session = ready(b"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
    assert b"DATA" not in begin(session, size=1234)
    assert session.receive(b"250 ok\r\n550 no\r\n") == []
    assert session.receive(b"250 ok\r\n") == [SendContent(dotted=False)]
    assert session.take_output() == b"BDAT 1234 LAST\r\n"
    session.content_sent()
    assert outcomes(session.receive(b"250 ok\r\n")) == [(Failed, 550), (Delivered, 250)]
    begin(session)
    assert outcomes(session.receive(b"250 ok\r\n550 no\r\n550 no\r\n")) == [(Failed, 550)] * 2
    assert session.take_output() == b""


def test_552_for_a_recipient_is_too_many():
    session = ready(PIPELINING)
    begin(session, recipients=1)
    (ended,) = session.receive(b"250 ok\r\n552 5.5.3 too many\r\n503 x\r\n")
    (outcome,) = ended.outcomes
    assert isinstance(outcome, Deferred)
    assert str(outcome.reply) == "452 4.5.3 too many"
    assert is_too_many(outcome.reply)


def test_lost_before_the_last_reply_defers_what_was_accepted():
    session = ready(PIPELINING)
    begin(session)
    session.receive(b"250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n")
    session.content_sent()
    (ended,) = session.connection_lost("was lost")
    failed, deferred = ended.outcomes
    assert isinstance(failed, Failed)
    assert isinstance(deferred, Deferred)
    assert str(deferred.reply.status) == "4.4.2"
    assert "was lost while we waited for the reply to the content" in deferred.reply.text
    assert not ended.nothing_begun
    assert session.connection_lost("was lost") == []


@pytest.mark.parametrize("ending", [lambda s: s.receive(b"421 bye\r\n"), lambda s: s.connection_lost("was lost")])
def test_lost_before_mail_was_taken_is_told(ending):
    session = ready(PIPELINING)
    begin(session)
    (ended,) = ending(session)
    assert ended.nothing_begun
    assert all(isinstance(outcome, Deferred) for outcome in ended.outcomes)


def test_421_within_defers_all_that_is_open_and_the_destination():
    session = ready(PIPELINING)
    begin(session)
    (ended,) = session.receive(b"250 ok\r\n550 no\r\n421 4.7.0 slow down\r\n")
    assert isinstance(ended.outcomes[0], Failed)
    assert isinstance(ended.outcomes[1], Deferred)
    assert ended.outcomes[1].whole_destination
    assert not ended.nothing_begun


def test_ehlo_falls_back_to_helo():
    session = ClientSession("us.example", "mx")
    session.receive(b"220 mx\r\n")
    session.take_output()
    assert session.receive(b"502 what?\r\n") == []
    assert session.take_output() == b"HELO us.example\r\n"
    assert session.receive(b"250 mx\r\n") == [Ready()]


@pytest.mark.parametrize(
    "greeting", [b"554 go away\r\n", b"421 busy\r\n", b"450 later\r\n", b"250 what\r\n", b"HTTP/1.1\r\n"]
)
def test_a_refused_greeting(greeting):
    session = ClientSession("us.example", "mx")
    (refused,) = session.receive(greeting)
    assert isinstance(refused, Refused)
    assert not refused.reply.is_positive
    assert refused.during is State.GREETING
    assert session.state is State.CLOSED


def tls_session(**kwargs):
    session = ClientSession("us.example", "mx", **kwargs)
    session.receive(b"220 mx\r\n")
    session.take_output()
    return session


def test_starttls_forgets_what_was_offered_before():
    session = tls_session()
    session.receive(b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n")
    assert session.take_output() == b"STARTTLS\r\n"
    assert session.receive(b"220 go\r\n") == [StartTls()]
    session.tls_started()
    assert session.take_output() == b"EHLO us.example\r\n"
    assert session.receive(b"250-mx\r\n250 STARTTLS\r\n") == [Ready()]
    assert not session.extensions.pipelining


def test_clear_text_behind_starttls_is_an_attack():
    session = tls_session()
    session.receive(b"250-mx\r\n250 STARTTLS\r\n")
    (refused,) = session.receive(b"220 go\r\n250 injected\r\n")
    assert isinstance(refused, Refused)


@pytest.mark.parametrize(("policy", "event"), [(TlsPolicy.OPPORTUNISTIC, Ready), (TlsPolicy.REQUIRED, Refused)])
def test_starttls_not_available(policy, event):
    session = tls_session(tls=policy)
    session.receive(b"250-mx\r\n250 STARTTLS\r\n")
    assert isinstance(session.receive(b"454 no\r\n")[0], event)
    assert isinstance(tls_session(tls=policy).receive(b"250 mx\r\n")[0], event)


SECRET = Credentials("anna", "hunter2")


def test_no_password_in_the_clear():
    session = tls_session(credentials=SECRET)
    (refused,) = session.receive(b"250-mx\r\n250 AUTH PLAIN LOGIN\r\n")
    assert "not encrypted" in refused.reply.text
    assert session.take_output() == b""


def test_auth_plain_and_login():
    session = tls_session(credentials=SECRET, is_encrypted=True)
    session.receive(b"250-mx\r\n250 AUTH LOGIN PLAIN\r\n")
    assert session.take_output() == b"AUTH PLAIN AGFubmEAaHVudGVyMg==\r\n"
    assert session.receive(b"235 ok\r\n") == [Ready()]
    session = tls_session(credentials=SECRET, is_encrypted=True)
    session.receive(b"250-mx\r\n250 AUTH LOGIN\r\n")
    assert session.take_output() == b"AUTH LOGIN\r\n"
    session.receive(b"334 VXNlcm5hbWU6\r\n")
    assert session.take_output() == b"YW5uYQ==\r\n"
    session.receive(b"334 UGFzc3dvcmQ6\r\n")
    assert session.take_output() == b"aHVudGVyMg==\r\n"
    (refused,) = session.receive(b"535 5.7.8 no\r\n")
    assert refused.during is State.AUTH


@pytest.mark.parametrize(
    "replies", [b"250 ok\r\n250 ok\r\n250 ok\r\n250 what\r\n", b"354 what\r\n", b"250 ok\r\n354 x\r\n"]
)
def test_a_peer_out_of_step_is_deferred_never_believed(replies):
    session = ready(PIPELINING)
    begin(session)
    assert outcomes(session.receive(replies)) == [(Deferred, 451)] * 2
    assert session.state is State.CLOSED


def test_an_answer_in_the_middle_of_the_content():
    session = ready(PIPELINING)
    begin(session)
    session.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    assert outcomes(session.receive(b"552 5.3.4 too big\r\n")) == [(Failed, 552)] * 2
    assert session.state is State.CLOSED


CODES = st.sampled_from([b"220", b"250", b"354", b"334", b"421", b"451", b"452", b"550", b"552", b"999", b"junk"])


@given(st.lists(CODES, max_size=14), st.booleans(), st.booleans())
def test_whatever_the_peer_says_each_recipient_has_one_outcome(codes, pipelining, chunking):
    offers = [b"250-mx", *[b"250-PIPELINING"] * pipelining, *[b"250-CHUNKING"] * chunking, b"250 HELP"]
    session = ready(b"\r\n".join(offers) + b"\r\n")
    session.begin(transaction(recipients=3))
    ended = []
    accepted_content = False
    for code in codes:
        for event in session.receive(code + b" x\r\n"):
            if isinstance(event, SendContent):
                session.content_sent()
                accepted_content = True
            else:
                ended.append(event)
    ended += session.connection_lost("was lost")
    (end,) = ended
    assert len(end.outcomes) == 3
    if not accepted_content:
        assert not any(isinstance(outcome, Delivered) for outcome in end.outcomes)
