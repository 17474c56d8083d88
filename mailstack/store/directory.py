"""The directory: domains, accounts, aliases and sending limits, as a snapshot in memory.

A `Directory` never changes, so that RCPT costs no trip to the database and one transaction sees one truth; the
`DirectoryKeeper` reads a new one when the version in the database has moved. Whoever changes one of these tables calls
`bump_version` in the same transaction. Neighbours: `directory_rows` reads what hangs on domains and accounts;
`reception/` and `login` look names up; `management/` changes them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter

from sqlalchemy import Connection, case, select, update
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailstack.mail.address import Address
from mailstack.policy.limits import Rule, rules_for
from mailstack.store import schema
from mailstack.store.database import Database
from mailstack.store.directory_rows import load_absences, load_aliases, load_forwards, load_rules

POLL_SECONDS = 0.5
"""A change beside a running server takes effect within a second."""
POSTMASTER = "postmaster"
RESOLVED_MOST = 10_000
"""Addresses whose resolution a snapshot remembers: one RCPT asks for its own several times."""

_log = Logger()


class DomainKind(StrEnum):
    """Hosted here, or kept for the host whose backup MX we are."""

    LOCAL = "local"
    RELAY = "relay"


class AccountState(StrEnum):
    """A suspended account receives mail, but may not log in."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of ours. `next_hop` is `host[:port]`; None = the setting, or MX, decides."""

    id: int
    name: str
    kind: DomainKind
    next_hop: str | None
    expire_days: int | None
    login_delay_seconds: int | None


@dataclass(frozen=True, slots=True)
class Account:
    """A log-in with a mailbox; `quota_octets` None = unlimited."""

    id: int
    address: Address
    domain: Domain
    state: AccountState
    quota_octets: int | None
    forwards: tuple[Address, ...] = ()
    keeps_copy: bool = True
    """Of what the forwards send on; without forwards all mail is kept."""
    away: tuple[int, int] | None = None
    """From when to when a vacation reply is sent, in microseconds since 1970."""
    frozen_why: str | None = None
    """What it sends is held, and why; None = it is not frozen."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where mail for an address goes: into maildrops, and on to addresses of others; each once, never both empty."""

    accounts: tuple[Account, ...]
    remote: tuple[Address, ...]
    passed: tuple[Account, ...] = ()
    """Accounts on the way whose mail is forwarded without a copy for them."""


class Directory:
    """One moment of the directory.

    Args:
        version: of the database's `directory_version`.
        domains: oldest first.
        accounts: oldest first.
        aliases: the targets of each alias by `Address.key`; the key of a catch-all is `@domain`.
        limit_rules: all sending limits.
        hostname: this host's name; the bare `postmaster` is that of its domain.
    """

    def __init__(
        self,
        version: int = 0,
        domains: Iterable[Domain] = (),
        accounts: Iterable[Account] = (),
        aliases: Mapping[str, tuple[Address, ...]] | None = None,
        limit_rules: Iterable[Rule] = (),
        hostname: str = "",
    ) -> None:
        self.version = version
        self.limit_rules = tuple(limit_rules)
        self._rules_by_scope: dict[str, list[tuple[int, Rule]]] = {}
        for place, rule in enumerate(self.limit_rules):
            self._rules_by_scope.setdefault(rule.scope, []).append((place, rule))
        self._domains = {domain.name: domain for domain in domains}
        self._accounts = {account.address.key: account for account in accounts}
        self._accounts_by_id = {account.id: account for account in self._accounts.values()}
        self._aliases = aliases or {}
        self._has_away = any(account.away for account in self._accounts.values())
        self._oldest = _oldest_accounts(self._accounts.values())
        self._home = _home_domain(hostname, self._domains)
        self._resolved: dict[Address, Resolution | None] = {}

    @property
    def domains(self) -> tuple[Domain, ...]:
        """All domains, oldest first."""
        return tuple(self._domains.values())

    @property
    def aliases(self) -> Mapping[str, tuple[Address, ...]]:
        """The targets of each alias, by its `Address.key`."""
        return self._aliases

    @property
    def has_away(self) -> bool:
        """Whether any account has a vacation reply, now or later: if not, nobody need be looked up."""
        return self._has_away

    def domain(self, name: str) -> Domain | None:
        """The domain of that name (A-label form), when it is ours."""
        return self._domains.get(name)

    def account(self, address: Address) -> Account | None:
        """The account of exactly that address: no tag, no alias."""
        return self._accounts.get(address.key)

    def account_by_id(self, account_id: int) -> Account | None:
        """The account of that row."""
        return self._accounts_by_id.get(account_id)

    def rules_of(self, account: Account) -> tuple[Rule, ...]:
        """The sending limits that apply to an account, in their order; found by scope, for each RCPT asks."""
        key, domain = account.address.key, account.domain.name
        found = [pair for scope in {key, domain, f"each@{domain}", "*"} for pair in self._rules_by_scope.get(scope, ())]
        found.sort(key=itemgetter(0))
        return rules_for([rule for _, rule in found], key, domain)

    def resolve(self, address: Address) -> Resolution | None:
        """Where mail for an address goes; None when nobody has it.

        In a local domain, in this order: an account, an alias, the same without `+tag`, the catch-all. A postmaster
        that none of these has is the oldest account of the domain, for postmaster is never refused (RFC 5321 section
        4.5.1), also without a domain. Aliases lead on to any depth, and so do the forwards of an active account; a
        target of ours that nobody has is left out. Where forwards without a copy lead nowhere, the copies are kept.

        An address of a relay domain, or of a domain that is not ours, leads to itself: whether it may be relayed to is
        not asked here, so ask `domain` first.
        """
        try:
            return self._resolved[address]
        except KeyError:
            if len(self._resolved) >= RESOLVED_MOST:
                self._resolved.clear()
            resolution = self._resolved[address] = self._resolve(address)
            return resolution

    def _resolve(self, address: Address) -> Resolution | None:
        if not address.domain:
            if address.local.lower() != POSTMASTER or self._home is None:
                return None
            address = Address(POSTMASTER, self._home)
        return self._walk(address, follow_forwards=True) or self._fallback(address)

    def _walk(self, start: Address, *, follow_forwards: bool) -> Resolution | None:
        accounts: dict[int, Account] = {}
        passed: dict[int, Account] = {}
        remote: dict[str, Address] = {}
        # Each name is followed once: loops end, and the work is bounded by the directory's own size.
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            target = waiting.pop()
            key = target.key
            if key in seen:
                continue
            seen.add(key)
            domain = self._domains.get(target.domain)
            if domain is None or domain.kind is DomainKind.RELAY:
                remote.setdefault(key, target)
                continue
            found = self._look_up(target)
            if not isinstance(found, Account):
                waiting.extend(reversed(found))
            elif follow_forwards and found.forwards and found.state is AccountState.ACTIVE:
                (accounts if found.keeps_copy else passed)[found.id] = found
                waiting.extend(reversed(found.forwards))
            else:
                accounts[found.id] = found
        if not accounts and not remote:
            accounts, passed = passed, {}
        if not accounts and not remote:
            return None
        return Resolution(tuple(accounts.values()), tuple(remote.values()), tuple(passed.values()))

    def is_own(self, account: Account, address: Address) -> bool:
        """Whether an address is the account's alone: its own, with a tag too, or an alias of nobody else."""
        domain = self._domains.get(address.domain)
        if domain is None or domain.kind is not DomainKind.LOCAL:
            return False
        found = self._walk(address, follow_forwards=False)
        return found is not None and not found.remote and [one.id for one in found.accounts] == [account.id]

    def may_send_as(self, account: Account, address: Address) -> bool:
        """Whether that address is the account's, alone or with others: then it may send from it.

        That is its own address, also with a tag, an alias that leads to it, and what its catch-all catches. Forwards
        give no right to anybody.
        """
        if address.key == account.address.key:
            return True
        domain = self._domains.get(address.domain)
        if domain is None or domain.kind is not DomainKind.LOCAL:
            return False
        found = self._walk(address, follow_forwards=False) or self._fallback(address)
        return found is not None and any(one.id == account.id for one in found.accounts)

    def _look_up(self, address: Address) -> Account | tuple[Address, ...]:
        """One step in a local domain: the account, or the targets of the alias or catch-all (none: nobody has it)."""
        names = [address.key]
        untagged = address.without_tag()
        if untagged is not address:
            names.append(untagged.key)
        for name in names:
            if account := self._accounts.get(name):
                return account
            if targets := self._aliases.get(name):
                return targets
        return self._aliases.get(f"@{address.domain}", ())

    def _fallback(self, address: Address) -> Resolution | None:
        if address.local.lower() != POSTMASTER:
            return None
        domain = self._domains[address.domain]
        account = self._oldest.get(domain.id) or self._oldest.get(None)
        return Resolution((account,), ()) if account else None


def _oldest_accounts(accounts: Iterable[Account]) -> dict[int | None, Account]:
    """The oldest account of each domain, an active one if there is any; under None that of all."""
    oldest: dict[int | None, Account] = {}
    for account in accounts:
        for scope in (account.domain.id, None):
            have = oldest.get(scope)
            if have is None or (have.state is not account.state is AccountState.ACTIVE):
                oldest[scope] = account
    return oldest


def _home_domain(hostname: str, domains: Mapping[str, Domain]) -> str | None:
    """The local domain that this host's name lies in, else the oldest local domain."""
    name = hostname
    while name:
        if name in domains and domains[name].kind is DomainKind.LOCAL:
            return name
        name = name.partition(".")[2]
    return next((domain.name for domain in domains.values() if domain.kind is DomainKind.LOCAL), None)


# --- in the database ---


def bump_version(connection: Connection) -> None:
    """Tell every keeper that the directory has changed; in the transaction that changes it."""
    connection.execute(update(schema.directory_version).values(version=schema.directory_version.c.version + 1))


def load_directory(connection: Connection, hostname: str = "", known: Directory | None = None) -> Directory | None:
    """The directory as the database has it; None when it still is the known one.

    What has not changed since is taken over from the known one: tens of thousands of new objects would have the
    interpreter collect garbage for a tenth of a second, with the reactor waiting.
    """
    version = connection.scalar(select(schema.directory_version.c.version))
    if version is None:
        raise RuntimeError("the database has no directory version: run `mailstack db upgrade`")
    if known is not None and version == known.version:
        return None
    domains = _load_domains(connection, known)
    by_id = {domain.id: domain for domain in domains}
    return Directory(
        version,
        domains,
        _load_accounts(connection, by_id, known),
        load_aliases(connection, {domain.id: domain.name for domain in domains}),
        load_rules(connection),
        hostname,
    )


def _load_domains(connection: Connection, known: Directory | None) -> list[Domain]:
    table = schema.domain.c
    columns = (table.id, table.name, table.kind, table.next_hop, table.expire_days, table.login_delay_seconds)
    domains = []
    for number, name, kind, *terms in connection.execute(select(*columns).order_by(table.id)):
        domain = Domain(number, name, DomainKind(kind), *terms)
        before = known.domain(name) if known else None
        domains.append(before if before == domain else domain)
    return domains


def _load_accounts(connection: Connection, domains: Mapping[int, Domain], known: Directory | None) -> list[Account]:
    table = schema.account.c
    frozen = case((table.frozen_at.is_not(None), table.frozen_why))
    columns = (table.id, table.local_part, table.domain_id, table.state, table.quota_octets, table.keeps_copy, frozen)
    rows = connection.execute(select(*columns).order_by(table.id))
    states = {state.value: state for state in AccountState}
    forwards = load_forwards(connection)
    away = load_absences(connection)
    accounts = []
    for number, local_part, domain_id, state, quota, keeps_copy, frozen_why in rows:
        domain = domains[domain_id]
        account = Account(
            number,
            Address(local_part, domain.name),
            domain,
            states[state],
            quota,
            forwards.get(number, ()),
            keeps_copy,
            away.get(number),
            frozen_why,
        )
        before = known.account_by_id(number) if known else None
        accounts.append(before if before == account else account)
    return accounts


class DirectoryKeeper:
    """Keeps `current`, the newest snapshot.

    Args:
        database: where the directory lives.
        clock: times the polls.
        hostname: this host's name.
    """

    def __init__(self, database: Database, clock: IReactorTime, *, hostname: str = "") -> None:
        self._database = database
        self._hostname = hostname
        self._one_at_a_time = DeferredLock()
        self._is_failing = False
        self._polling = LoopingCall(lambda: Deferred.fromCoroutine(self._poll()))
        self._polling.clock = clock
        self.current = Directory(hostname=hostname)

    async def start(self) -> None:
        """Read the directory and go on polling. Raises as `refresh`."""
        await self.refresh()
        self._polling.start(POLL_SECONDS, now=False)

    def stop(self) -> None:
        """Poll no more; `current` stays."""
        if self._polling.running:
            self._polling.stop()

    async def refresh(self) -> None:
        """Make `current` at least as new as this call.

        Raises:
            StoreTrouble: the database fails now; the old snapshot stays.
        """
        # One after the other, so that a read that began early cannot put an older snapshot over a newer one.
        await self._one_at_a_time.acquire()
        try:
            known = self.current
            newer = await self._database.read(lambda connection: load_directory(connection, self._hostname, known))
            if newer is not None:
                self.current = newer
        finally:
            self._one_at_a_time.release()

    async def _poll(self) -> None:
        try:
            await self.refresh()
        except Exception as error:  # whatever it is, the next poll may succeed and the old snapshot serves until then
            if not self._is_failing:
                _log.error("the directory cannot be read now, the last one serves: {why}", why=str(error))
            self._is_failing = True
        else:
            self._is_failing = False
