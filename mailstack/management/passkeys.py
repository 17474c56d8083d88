"""Passkeys (WebAuthn, level 2): a device that proves who somebody is, with its own lock in place of a password.

A ceremony has two halves: `…_options` makes a challenge for the browser, the other half checks what came back. The
challenge waits in the caller's signed cookie. A passkey asks for the device's PIN or finger, so it stands for password
and second step together. Neighbours: `factors` keeps the row; `admin_ui/sign_in` speaks with the browser.
"""

import base64
from dataclasses import dataclass
from typing import Any

import webauthn
from sqlalchemy import Connection, select, update
from webauthn.helpers import options_to_json_dict
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from mailstack.management.actor import Actor, Refused
from mailstack.management.acts import now_micros
from mailstack.management.factors import add_factor
from mailstack.management.sign_in import Person, digest, person_of, rows_of
from mailstack.store.schema import factor

_NOT_RIGHT = (WebAuthnException, ValueError, TypeError, KeyError)
"""What the library raises for an answer that is wrong, or is none."""


@dataclass(frozen=True, slots=True)
class Site:
    """The panel as a browser knows it; a passkey is bound to it."""

    host: str
    """The domain, without port."""
    origin: str
    """Scheme, domain, port."""


def registration_options(connection: Connection, person: Person, site: Site) -> tuple[dict[str, Any], str]:
    """What the browser needs to make a passkey, and the challenge to remember."""
    known = connection.scalars(select(factor.c.key).where(rows_of(factor, person), factor.c.kind == "passkey"))
    options = webauthn.generate_registration_options(
        rp_id=site.host,
        rp_name=f"Mailstack on {site.host}",
        user_name=person.name,
        user_id=digest(f"{person.administrator_id} {person.account_id}").encode()[:64],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=_octets(key)) for key in known],
    )
    return options_to_json_dict(options), _text(options.challenge)


def add(
    connection: Connection, actor: Actor, person: Person, site: Site, challenge: str, answer: str, name: str
) -> None:
    """Keep the passkey that a browser made; `Refused` when the ceremony was not right."""
    try:
        made = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=_octets(challenge),
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except _NOT_RIGHT as error:
        raise Refused(f"the passkey was not taken ({error}); try again, or another device") from None
    add_factor(
        connection,
        actor,
        person,
        kind="passkey",
        name=name,
        key=_text(made.credential_id),
        public_key=_text(made.credential_public_key),
        counter=made.sign_count,
    )


def sign_in_options(site: Site) -> tuple[dict[str, Any], str]:
    """What the browser needs to find a passkey of this site, and the challenge to remember."""
    options = webauthn.generate_authentication_options(
        rp_id=site.host, user_verification=UserVerificationRequirement.REQUIRED
    )
    return options_to_json_dict(options), _text(options.challenge)


def prove(connection: Connection, site: Site, challenge: str, answer: dict[str, Any]) -> Person | None:
    """Whose passkey it is that signed the challenge; None when it is nobody's or the ceremony was not right."""
    row = connection.execute(
        select(factor).where(factor.c.kind == "passkey", factor.c.key == str(answer.get("id", "")))
    ).one_or_none()
    if row is None:
        return None
    try:
        proven = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=_octets(challenge),
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=_octets(row.public_key),
            credential_current_sign_count=row.counter,
            require_user_verification=True,
        )
    except _NOT_RIGHT:
        return None
    used = {"counter": proven.new_sign_count, "used_at": now_micros()}
    connection.execute(update(factor).where(factor.c.id == row.id).values(**used))
    return person_of(connection, row.administrator_id, row.account_id)


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
