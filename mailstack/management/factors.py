"""Second factors of a sign-in: one-time codes of an app (TOTP, RFC 6238) and recovery codes.

A code of an app is good for its step of 30 seconds and the ones beside it, once. Recovery codes are random, shown when
they are made and kept as hashes; each is good once. Neighbours: `passkeys` is the third kind; `sign_in` is the first
factor.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyotp
from sqlalchemy import Connection, delete, func, insert, select, update

from mailstack.management.actor import Actor, Forbidden, Refused, record, require_all_domains, require_domain
from mailstack.management.acts import now_micros, taken_means
from mailstack.management.sessions import end_sessions
from mailstack.management.sign_in import Person, digest, find_person, rows_of
from mailstack.store.schema import factor, from_micros

STEP_SECONDS = 30
RECOVERY_CODES = 10
MAX_NAME = 64
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Factor:
    """An app or a passkey as its owner sees it."""

    id: int
    kind: str
    """`totp` or `passkey`."""
    name: str
    created_at: datetime
    used_at: datetime | None


def has_factor(connection: Connection, person: Person) -> bool:
    """Whether a person's password alone is not enough."""
    mine = select(factor.c.id).where(rows_of(factor, person), factor.c.kind != "recovery")
    return connection.scalar(mine.limit(1)) is not None


def find(connection: Connection, person: Person) -> list[Factor]:
    """A person's apps and passkeys, the oldest first."""
    mine = select(factor).where(rows_of(factor, person), factor.c.kind != "recovery").order_by(factor.c.id)
    return [
        Factor(row.id, row.kind, row.name, from_micros(row.created_at), row.used_at and from_micros(row.used_at))
        for row in connection.execute(mine)
    ]


def remove(connection: Connection, actor: Actor, person: Person, factor_id: int) -> None:
    """Take an app or a passkey away; with the last one go the recovery codes. `Refused` when it is not theirs."""
    mine = (rows_of(factor, person), factor.c.id == factor_id, factor.c.kind != "recovery")
    row = connection.execute(select(factor.c.kind, factor.c.name).where(*mine)).first()
    if row is None:
        raise Refused("there is no such second step of yours; it may have been removed already")
    connection.execute(delete(factor).where(*mine))
    if not has_factor(connection, person):
        connection.execute(delete(factor).where(rows_of(factor, person)))
    record(connection, actor, "factor.remove", person.name, f"{row.kind}: {row.name}")


def reset(connection: Connection, actor: Actor, name: str) -> None:
    """Take all second steps from somebody who lost them, and end their sessions: the password alone lets them in again.

    Raises:
        Refused: nobody signs in by that name, or it is the actor's own: those are removed with the password.
    """
    found = find_person(connection, name)
    if actor.name == name:
        raise Forbidden("your own second steps are removed with your password; see the page on your sign-in")
    if found is None:
        require_all_domains(actor, "sign-ins are looked for")
        raise Refused(f"{name} cannot sign in here; see `admin list` and `account list`")
    person = found[0]
    if person.is_administrator:
        require_all_domains(actor, "administrators' second steps are taken away")
    else:
        require_domain(actor, person.name.rpartition("@")[2])
    connection.execute(delete(factor).where(rows_of(factor, person)))
    end_sessions(connection, person)
    record(connection, actor, "factor.reset", person.name)


# --- codes of an app --------------------------------------------------------------------------------------------------


def new_secret() -> str:
    """A secret for an app, base32."""
    return pyotp.random_base32()


def secret_uri(secret: str, name: str, hostname: str) -> str:
    """What the QR code says, `otpauth://totp/…`."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=hostname)


def add_totp(connection: Connection, actor: Actor, person: Person, secret: str, code: str, name: str) -> None:
    """Add an app once it has shown that it knows the secret.

    Raises:
        Refused: the code is wrong, or the name or the secret is none.
    """
    now = now_micros()
    step = _step_of(secret, _squeezed(code), now // 1_000_000)
    if step is None:
        raise Refused("that code is not right; see that the clocks agree, and type the one the app shows now")
    add_factor(connection, actor, person, kind="totp", name=name, key=secret, counter=step)


def add_factor(
    connection: Connection,
    actor: Actor,
    person: Person,
    *,
    kind: str,
    name: str,
    key: str,
    public_key: str = "",
    counter: int = 0,
) -> None:
    """Keep a factor that has been proven.

    Raises:
        Refused: a bad name, or it is there already.
    """
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise Refused(f"a name has 1 to {MAX_NAME} characters; say which device it is")
    with taken_means("it is in use already; take another device, or another entry in the app"):
        connection.execute(
            insert(factor).values(
                administrator_id=person.administrator_id,
                account_id=person.account_id,
                kind=kind,
                name=name,
                key=key,
                public_key=public_key,
                counter=counter,
                created_at=now_micros(),
            )
        )
    record(connection, actor, "factor.add", person.name, f"{kind}: {name}")


def _step_of(secret: str, code: str, second: int) -> int | None:
    """The step, the present one or one beside it, whose code this is."""
    present = second // STEP_SECONDS
    right = None
    try:
        totp = pyotp.TOTP(secret)
        for step in (present - 1, present, present + 1):
            if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
                right = step
    except ValueError:  # not base32, or too short
        return None
    return right


# --- recovery codes ---------------------------------------------------------------------------------------------------


def make_recovery_codes(connection: Connection, actor: Actor, person: Person) -> Sequence[str]:
    """New recovery codes, in place of those before; they are told this once."""
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    connection.execute(delete(factor).where(rows_of(factor, person), factor.c.kind == "recovery"))
    now = now_micros()
    connection.execute(
        insert(factor),
        [
            {
                "administrator_id": person.administrator_id,
                "account_id": person.account_id,
                "kind": "recovery",
                "key": _recovery_key(person, _squeezed(code)),
                "created_at": now,
            }
            for code in codes
        ],
    )
    record(connection, actor, "factor.recovery_codes", person.name)
    return codes


def _recovery_code() -> str:
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(3))


def recovery_codes_left(connection: Connection, person: Person) -> int:
    """How many are unused."""
    mine = select(func.count()).select_from(factor).where(rows_of(factor, person), factor.c.kind == "recovery")
    return connection.scalar(mine) or 0


def _recovery_key(person: Person, code: str) -> str:
    return digest(f"{person.administrator_id} {person.account_id} {code}")


# --- the second step of a sign-in -------------------------------------------------------------------------------------


def prove(connection: Connection, person: Person, source: str, code: str) -> bool:
    """Whether a code of an app or a recovery code is right; either is used up by it."""
    typed = _squeezed(code)
    return _prove_totp(connection, person, typed) or _prove_recovery(connection, person, source, typed)


def _prove_totp(connection: Connection, person: Person, code: str) -> bool:
    now = now_micros()
    apps = select(factor.c.id, factor.c.key).where(rows_of(factor, person), factor.c.kind == "totp")
    for row in connection.execute(apps).all():
        step = _step_of(row.key, code, now // 1_000_000)
        if step is not None:
            unused = update(factor).where(factor.c.id == row.id, factor.c.counter < step)
            return connection.execute(unused.values(counter=step, used_at=now)).rowcount == 1
    return False


def _prove_recovery(connection: Connection, person: Person, source: str, code: str) -> bool:
    key = _recovery_key(person, code)
    used = delete(factor).where(rows_of(factor, person), factor.c.kind == "recovery", factor.c.key == key)
    is_right = connection.execute(used).rowcount == 1
    if is_right:
        record(connection, person.actor(source), "factor.recovery_code_used", person.name)
    return is_right


def _squeezed(code: str) -> str:
    """A code as it was typed, without blanks and hyphens."""
    return "".join(code.split()).replace("-", "").lower()
