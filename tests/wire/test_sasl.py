import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.wire.sasl import (
    Challenge,
    CheckPassword,
    Disproven,
    LookUpVerifier,
    Malformed,
    Proven,
    decode_base64,
    start_exchange,
)
from mailstack.wire.scram import ScramError, ScramVerifier, make_verifier

# RFC 7677 section 3
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
VERIFIER = make_verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)


def test_scram_answers_the_example_of_rfc_7677():
    exchange = start_exchange("SCRAM-SHA-256", SERVER_NONCE)
    assert exchange.step(CLIENT_FIRST) == LookUpVerifier("user")
    assert exchange.answer_verifier(VERIFIER) == Challenge(SERVER_FIRST)
    assert exchange.step(CLIENT_FINAL) == Proven("user", SERVER_FINAL)


def test_scram_without_initial_response_begins_with_an_empty_challenge():
    exchange = start_exchange("scram-sha-256", SERVER_NONCE)
    assert exchange.step(None) == Challenge(b"")
    assert exchange.step(CLIENT_FIRST) == LookUpVerifier("user")


def test_scram_refuses_a_wrong_proof():
    exchange = start_exchange("SCRAM-SHA-256", SERVER_NONCE)
    exchange.step(CLIENT_FIRST)
    exchange.answer_verifier(make_verifier("other", VERIFIER.salt, 4096))
    assert exchange.step(CLIENT_FINAL) == Disproven("user")


def test_scram_shows_an_unknown_account_only_at_the_end_and_with_the_same_salt_each_time():
    challenges = []
    for _ in range(2):
        exchange = start_exchange("SCRAM-SHA-256", SERVER_NONCE, b"secret")
        exchange.step(CLIENT_FIRST)
        challenges.append(exchange.answer_verifier(None))
        assert exchange.step(CLIENT_FINAL) == Disproven("user")
    assert challenges[0] == challenges[1]


def test_scram_fake_keys_cannot_be_proven():
    # with keys of zeros known to the client, the signature is known as well; the account is still unknown
    exchange = start_exchange("SCRAM-SHA-256", SERVER_NONCE, b"secret")
    exchange.step(CLIENT_FIRST)
    server_first = exchange.answer_verifier(None).data
    without = b"c=biws,r=rOprNGfwEbeRWgbNEkqO" + SERVER_NONCE.encode()
    signature = hmac.digest(bytes(32), CLIENT_FIRST[3:] + b"," + server_first + b"," + without, hashlib.sha256)
    assert exchange.step(without + b",p=" + base64.b64encode(signature)) == Disproven("user")


@pytest.mark.parametrize(
    "first",
    [
        b"p=tls-unique,,n=user,r=abc",
        b"n,a=other,n=user,r=abc",
        b"n,,n=,r=abc",
        b"n,,n=us=er,r=abc",
        b"n,,m=x,n=user,r=abc",
        b"",
        b"\xff",
    ],
)
def test_scram_refuses_a_malformed_first_message(first):
    assert isinstance(start_exchange("SCRAM-SHA-256", SERVER_NONCE).step(first), Malformed)


def test_scram_refuses_a_foreign_nonce_or_binding():
    for final in (CLIENT_FINAL.replace(b"biws", b"eSws"), CLIENT_FINAL.replace(b"k0,p", b"k1,p")):
        exchange = start_exchange("SCRAM-SHA-256", SERVER_NONCE)
        exchange.step(CLIENT_FIRST)
        exchange.answer_verifier(VERIFIER)
        assert isinstance(exchange.step(final), Malformed)


def test_plain():
    assert start_exchange("PLAIN", "").step("\0jörg\0päss".encode()) == CheckPassword("jörg", "päss")
    assert start_exchange("PLAIN", "").step(b"a\0a\0b") == CheckPassword("a", "b")
    assert start_exchange("PLAIN", "").step(None) == Challenge(b"")
    assert start_exchange("PLAIN", "").step(b"x\0a\0b") == Disproven("a"), "nobody acts for another account"
    for bad in (b"", b"a\0b", b"\0\0b", b"\0a\0", b"\0a\0b\0c", b"\0a\0\xff"):
        assert isinstance(start_exchange("PLAIN", "").step(bad), Malformed)


def test_login():
    exchange = start_exchange("LOGIN", "")
    assert exchange.step(None) == Challenge(b"Username:")
    assert exchange.step(b"user") == Challenge(b"Password:")
    assert exchange.step(b"pass") == CheckPassword("user", "pass")
    exchange = start_exchange("LOGIN", "")
    assert exchange.step(b"user") == Challenge(b"Password:")


def test_an_unknown_mechanism_is_none():
    assert start_exchange("CRAM-MD5", "x" * 20) is None


def test_a_verifier_reads_back_what_it_writes():
    assert ScramVerifier.parse(str(VERIFIER)) == VERIFIER
    with pytest.raises(ScramError):
        ScramVerifier.parse("{SSHA}abc")


@given(st.sampled_from(["PLAIN", "LOGIN", "SCRAM-SHA-256"]), st.lists(st.binary(max_size=60), max_size=4))
def test_garbage_never_raises(mechanism, messages):
    exchange = start_exchange(mechanism, SERVER_NONCE)
    for message in messages:
        step = exchange.step(message)
        if isinstance(step, LookUpVerifier):
            step = exchange.answer_verifier(None)
        if not isinstance(step, Challenge):
            break


def test_base64_is_read_strictly():
    assert decode_base64(b"=") == b""
    assert decode_base64(b"YQ==") == b"a"
    for bad in (b"YQ", b"Y Q==", b"Y*==", b"=YQ=", b"\xff"):
        assert decode_base64(bad) is None
