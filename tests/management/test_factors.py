"""Second factors: codes of an app, recovery codes, passkeys; the turnstile before them. On both databases."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pyotp
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mailstack.management import administrators, factors, passkeys
from mailstack.management.actor import Actor, Refused
from mailstack.management.passkeys import Site
from mailstack.management.sign_in import Person
from mailstack.management.turnstile import TOO_LONG_SECONDS, Turnstile
from mailstack.store.database import Connection, Database

ROOT = Actor("root", "192.0.2.1", all_domains=True)
SITE = Site("mx.example.test", "https://mx.example.test")


@pytest.fixture
def people(each_database: Database) -> tuple[Database, Person, Person]:
    """A database with two administrators."""

    def fill(connection: Connection) -> list[int]:
        return [administrators.add(connection, ROOT, name, "hash").id for name in ("ann", "ben")]

    ann, ben = each_database.write_now(fill)
    return each_database, Person("ann", ann, None, True), Person("ben", ben, None, True)


def code_of(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(datetime.now(UTC) + steps * timedelta(seconds=30))


def proves(database: Database, person: Person, code: str) -> bool:
    return database.write_now(lambda connection: factors.prove(connection, person, "192.0.2.1", code))


def test_a_code_is_good_once_and_for_its_owner(people: tuple[Database, Person, Person]) -> None:
    database, ann, ben = people
    secret = factors.new_secret()
    shown = code_of(secret, -1)
    database.write_now(lambda connection: factors.add_totp(connection, ROOT, ann, secret, shown, "phone"))
    assert database.read_now(lambda connection: factors.has_factor(connection, ann))
    assert not database.read_now(lambda connection: factors.has_factor(connection, ben))
    assert not proves(database, ann, shown), "used up when the app was added"
    assert not proves(database, ben, code_of(secret))
    assert proves(database, ann, code_of(secret))
    assert not proves(database, ann, code_of(secret))
    assert not proves(database, ann, code_of(secret, -9))
    for code in ("", "12345", "\u0661\u0662\u0663\u0664\u0665\u0666", "x" * 1000):
        assert not proves(database, ann, code)


@pytest.mark.parametrize("secret", ["JBSWY3DPEHPK3PXP", "JBSWY3DPEHPK3PXP" * 2, "not base32 !", ""])
def test_an_app_that_does_not_know_the_secret(people: tuple[Database, Person, Person], secret: str) -> None:
    database, ann, _ = people
    with pytest.raises(Refused, match="code is not right"):
        database.write_now(lambda connection: factors.add_totp(connection, ROOT, ann, secret, "000", "phone"))


def test_recovery_codes(people: tuple[Database, Person, Person]) -> None:
    database, ann, ben = people
    old = database.write_now(lambda connection: factors.make_recovery_codes(connection, ROOT, ann))
    codes = database.write_now(lambda connection: factors.make_recovery_codes(connection, ROOT, ann))
    assert len(set(codes)) == factors.RECOVERY_CODES
    assert not proves(database, ann, old[0])
    assert not proves(database, ben, codes[0])
    assert proves(database, ann, codes[0])
    assert not proves(database, ann, codes[0])
    assert proves(database, ann, codes[1].replace("-", " ").upper())
    left = database.read_now(lambda connection: factors.recovery_codes_left(connection, ann))
    assert left == factors.RECOVERY_CODES - 2


def test_who_lost_the_second_step_gets_in_again(people: tuple[Database, Person, Person]) -> None:
    database, ann, _ = people
    secret = factors.new_secret()
    shown = code_of(secret)
    database.write_now(lambda connection: factors.add_totp(connection, ROOT, ann, secret, shown, "phone"))
    database.write_now(lambda connection: factors.make_recovery_codes(connection, ROOT, ann))
    for actor in (
        Actor("ann", "192.0.2.1", all_domains=True),
        Actor("olga", "192.0.2.1", domains=frozenset({"example.test"})),
        Actor("eve@example.test", "192.0.2.1", account="eve@example.test"),
    ):
        for name in ("ann", "nobody"):
            with pytest.raises(Refused):
                database.write_now(lambda c, a=actor, n=name: factors.reset(c, a, n))  # type: ignore[misc]
    assert database.read_now(lambda connection: factors.has_factor(connection, ann))
    database.write_now(lambda connection: factors.reset(connection, ROOT, "ann"))
    assert not database.read_now(lambda connection: factors.has_factor(connection, ann))
    assert not database.read_now(lambda connection: factors.recovery_codes_left(connection, ann))


# --- passkeys ---------------------------------------------------------------------------------------------------------


class Device:
    """A passkey in software."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = b"a passkey of a test"
        self.uses = 0

    def make(self, challenge: str, site: Site = SITE, flags: int = 0x45) -> str:
        public = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: public.x.to_bytes(32, "big"), -3: public.y.to_bytes(32, "big")}
        credential = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._data(site, flags) + credential}
        response = {
            "clientDataJSON": _text(_client_data("webauthn.create", challenge, site)),
            "attestationObject": _text(cbor2.dumps(attestation)),
        }
        return json.dumps(self._told(response))

    def sign(self, challenge: str, site: Site = SITE, flags: int = 0x05) -> dict[str, Any]:
        self.uses += 1
        data, client = self._data(site, flags), _client_data("webauthn.get", challenge, site)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {"clientDataJSON": client, "authenticatorData": data, "signature": signature}
        return self._told({name: _text(octets) for name, octets in response.items()})

    def _data(self, site: Site, flags: int) -> bytes:
        return hashlib.sha256(site.host.encode()).digest() + bytes([flags]) + self.uses.to_bytes(4, "big")

    def _told(self, response: dict[str, str]) -> dict[str, Any]:
        return {"id": _text(self.id), "rawId": _text(self.id), "type": "public-key", "response": response}


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _client_data(kind: str, challenge: str, site: Site) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": site.origin}).encode()


def add_device(database: Database, person: Person, device: Device, **of_make: Any) -> None:
    _, challenge = database.read_now(lambda connection: passkeys.registration_options(connection, person, SITE))
    answer = device.make(challenge, **of_make)
    database.write_now(lambda connection: passkeys.add(connection, ROOT, person, SITE, challenge, answer, "key"))


def test_a_passkey_says_who_it_is(people: tuple[Database, Person, Person]) -> None:
    database, ann, ben = people
    device = Device()
    add_device(database, ann, device)
    with pytest.raises(Refused, match="in use already"):
        add_device(database, ben, device)

    def proven(answer: dict[str, Any], challenge: str) -> Person | None:
        return database.write_now(lambda connection: passkeys.prove(connection, SITE, challenge, answer))

    options, challenge = passkeys.sign_in_options(SITE)
    assert options["userVerification"] == "required"
    assert proven(device.sign(challenge), challenge) == ann
    elsewhere = Site("evil.test", "https://evil.test")
    another = Device()
    for answer in (
        device.sign(passkeys.sign_in_options(SITE)[1]),
        device.sign(challenge, elsewhere),
        device.sign(challenge, flags=0x01),
        another.sign(challenge),
        {},
        {"id": _text(device.id)},
        {"id": _text(device.id), "rawId": 5, "type": "public-key", "response": "x"},
    ):
        assert proven(answer, challenge) is None
    device.uses = 0
    assert proven(device.sign(challenge), challenge) is None, "a copy of the device counts anew"


def test_a_ceremony_that_is_not_right(people: tuple[Database, Person, Person]) -> None:
    database, ann, _ = people
    for of_make in ({"flags": 0x41}, {"site": Site("evil.test", "https://evil.test")}):
        with pytest.raises(Refused, match="was not taken"):
            add_device(database, ann, Device(), **of_make)
    for answer in ("", "{}", "[]", "5", '{"id": "x"}'):
        with pytest.raises(Refused, match="was not taken"):
            database.write_now(lambda c, a=answer: passkeys.add(c, ROOT, ann, SITE, "AAAA", a, "key"))  # type: ignore[misc]


# --- the turnstile ----------------------------------------------------------------------------------------------------


def test_the_wait_grows_and_ends() -> None:
    now = [1000.0]
    turnstile = Turnstile(seconds=lambda: now[0])
    waits = []
    for _ in range(6):
        waits.append(turnstile.wait("root", "192.0.2.9"))
        turnstile.note_failure("root", "192.0.2.9")
    assert waits == [0, 0, 0, 1, 2, 4]
    assert turnstile.wait("Root", "192.0.2.9") == 8
    assert turnstile.wait("root", "198.51.100.7") == 8, "a stranger at the same name"
    assert turnstile.wait("olga", "198.51.100.7") == 0
    now[0] += 5
    assert turnstile.wait("root", "192.0.2.9") == 3
    now[0] += 3
    assert turnstile.wait("root", "192.0.2.9") == 0
    for _ in range(40):
        turnstile.note_failure("root", "192.0.2.9")
    assert turnstile.wait("root", "192.0.2.9") == TOO_LONG_SECONDS


def test_who_is_known_is_not_kept_out_by_strangers() -> None:
    turnstile = Turnstile(seconds=lambda: 1000.0)
    turnstile.note_success("root", "198.51.100.7")
    for _ in range(40):
        turnstile.note_failure("root", "192.0.2.9")
    assert turnstile.wait("root", "198.51.100.7") == 0
