"""Who acts, what that person may do, and the audit entry each act leaves.

A superadministrator may do all; a domain administrator what concerns his domains; the owner of an account what
`require_account` guards, on that one account. Each act asks here first and records itself in the same transaction.
Neighbours: every other module of this package.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection, insert

from mailstack.mail.address import Address
from mailstack.store.schema import audit_entry, micros


class Refused(Exception):
    """An act that is not carried out; the text says in one line what, why and the mend."""


class Forbidden(Refused):
    """The actor has not the role that the act needs."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody with a role, and where he acts from."""

    name: str
    source: str
    """An IP address, or `command line`."""
    all_domains: bool = False
    """A superadministrator."""
    domains: frozenset[str] = field(default_factory=frozenset)
    """A domain administrator's domains, in A-label form."""
    account: str | None = None
    """The account (`Address.key`) whose owner this is: no domain is his to run, this account is."""

    def may_manage(self, domain: str) -> bool:
        """Whether a domain (A-label) and all in it are this person's to run."""
        return self.all_domains or domain in self.domains

    def owns(self, address: Address) -> bool:
        """Whether this is the account's own owner."""
        return self.account == address.key


COMMAND_LINE = Actor("root", "command line", all_domains=True)


def require_all_domains(actor: Actor, what: str) -> None:
    """Raise Forbidden unless the actor is a superadministrator; `what` reads like "domains are added"."""
    if not actor.all_domains:
        raise Forbidden(f"{what} by superadministrators only; ask one of them")


def require_domain(actor: Actor, domain: str) -> None:
    """Raise Forbidden unless the domain is the actor's to run."""
    if not actor.may_manage(domain):
        raise Forbidden(f"{domain} is not one of your domains; ask a superadministrator for it")


def require_account(actor: Actor, address: Address) -> None:
    """Raise Forbidden unless the account is the actor's own, or in a domain that is his to run."""
    if not actor.owns(address):
        require_domain(actor, address.domain)


def record(connection: Connection, actor: Actor, act: str, of: str, detail: str = "") -> None:
    """Write the audit entry of an act such as `account.add`, in the act's own transaction."""
    connection.execute(
        insert(audit_entry).values(
            at=micros(datetime.now(UTC)), actor=actor.name, source=actor.source, act=act, object=of, detail=detail
        )
    )
