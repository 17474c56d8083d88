"""Sending limits: rules by scope and window, shown with what stands against them, what they hold, and who sends most.

Neighbours: `policy/limits` says how rules stack, `store/rule_usage` what counts, `reception/submission` refuses or
holds; `freezing` is for accounts that burst.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, case, delete, insert, or_, select, tuple_

from mailstack.management import accounts, domains
from mailstack.management.actor import Actor, Refused, record, require_all_domains, require_domain
from mailstack.management.acts import PAGE, contains, now_micros, read_address, read_domain
from mailstack.policy.limits import Over, Per, Rule, Used, rules_for
from mailstack.store import freezing, rule_usage
from mailstack.store.directory import bump_version
from mailstack.store.rule_usage import RuleUsage
from mailstack.store.schema import account, domain, from_micros, limit_rule

MAX_CAP = 1_000_000_000
DEFAULT_RULES = (
    Rule("*", Per.HOUR, None, 200, Over.REFUSE),
    Rule("*", Per.DAY, None, 1000, Over.REFUSE, first_time=200),
)
"""What a new host starts with: plenty for a person, little for a thief of a password."""
_RANK = case({per.value: rank for rank, per in enumerate(Per)}, value=limit_rule.c.per)
_ORDER = list(Per)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose sending a rule bounds: its canonical text, and the domain it belongs to (empty for `*`)."""

    text: str
    domain: str
    is_account: bool = False


def read_scope(text: str) -> Scope:
    """A scope as an administrator typed it: `*`, a domain, `each@domain` or an account's address.

    Raises:
        Refused: none of them.
    """
    if text == "*":
        return Scope("*", "")
    local, at, name = text.rpartition("@")
    if not at:
        try:
            key = read_domain(text)
        except Refused:
            raise Refused(f'"{text}" is no scope; write *, example.org, each@example.org or an address') from None
        return Scope(key, key)
    if local.lower() == "each":
        key = read_domain(name)
        return Scope(f"each@{key}", key)
    address = read_address(text)
    return Scope(address.key, address.domain, is_account=True)


def set_first_rules(connection: Connection, actor: Actor) -> None:
    """Give a new host the rules that it starts with."""
    for rule in DEFAULT_RULES:
        set_rule(connection, actor, rule)


def set_rule(connection: Connection, actor: Actor, rule: Rule) -> Rule:
    """Set the rule of a scope and window, in place of the one there.

    Raises:
        Refused: a bad scope or cap, or no such domain or account.
    """
    scope = read_scope(rule.scope)
    _require(connection, actor, scope, changes=True)
    _check(rule)
    new = replace(rule, scope=scope.text)
    _delete(connection, scope, rule.per)
    connection.execute(
        insert(limit_rule).values(
            scope=new.scope,
            per=new.per.value,
            messages=new.messages,
            recipients=new.recipients,
            first_time=new.first_time,
            over=new.over.value,
        )
    )
    record(connection, actor, "limit.set", scope.text, f"{new}, over={new.over}")
    bump_version(connection)
    return new


def _check(rule: Rule) -> None:
    caps = (rule.messages, rule.recipients, rule.first_time)
    if caps == (None, None, None):
        raise Refused("a limit needs a cap; give --messages, --recipients or --first-time")
    for cap in caps:
        if cap is not None and not 0 <= cap <= MAX_CAP:
            raise Refused(f"{cap} is no cap; give a number from 0 to {MAX_CAP}")
    if rule.per is Per.MESSAGE and (rule.messages, rule.first_time, rule.over) != (None, None, Over.REFUSE):
        raise Refused("a limit per message caps its recipients and refuses the rest; give --recipients only")


def clear(connection: Connection, actor: Actor, scope_text: str, per: Per | None = None) -> int:
    """Remove the rules of a scope, or the one for a window; how many there were. `Refused` when there was none."""
    scope = read_scope(scope_text)
    _require(connection, actor, scope, changes=True, exists=False)
    count = _delete(connection, scope, per)
    if not count:
        window = f" per {per}" if per else ""
        raise Refused(f"{scope.text} has no limit{window}; see `limit show {scope.text}`")
    record(connection, actor, "limit.clear", scope.text, per or "")
    bump_version(connection)
    return count


def show(connection: Connection, actor: Actor, scope_text: str) -> list[RuleUsage]:
    """The rules of a scope, shortest window first, with what stands against each."""
    scope = read_scope(scope_text)
    _require(connection, actor, scope)
    return _with_usage(connection, _rules(connection, limit_rule.c.scope == scope.text))


def applying(connection: Connection, actor: Actor, address: str) -> list[Rule]:
    """All rules that apply to an account, its own first."""
    view = accounts.get(connection, actor, address)
    key, name = view.address.key, view.address.domain
    found = _rules(connection, limit_rule.c.scope.in_([key, name, f"each@{name}", "*"]))
    return list(rules_for(found, key, name))


def of_account(connection: Connection, actor: Actor, address: str) -> list[RuleUsage]:
    """All rules that apply to an account, with what stands against each for this account (or its domain together)."""
    rules = applying(connection, actor, address)
    account_id, domain_id, key = _numbers(connection, address)
    second = now_micros() // 1_000_000
    return [rule_usage.account_usage(connection, rule, account_id, domain_id, key, second) for rule in rules]


def every_rule(connection: Connection) -> list[Rule]:
    """All rules of the host, by scope, shortest window first."""
    return _rules(connection)


def find(
    connection: Connection,
    actor: Actor,
    *,
    search: str = "",
    after: tuple[str, Per] | None = None,
    limit: int | None = PAGE,
) -> list[RuleUsage]:
    """The rules the actor may see, by scope, shortest window first, with what stands against each.

    Args:
        connection: inside a transaction.
        actor: who asks.
        search: only scopes that contain this.
        after: scope and window of the last rule of the page before.
        limit: rules in a page; None = all.
    """
    wanted: list[ColumnElement[bool]] = []
    if not actor.all_domains:
        scopes = limit_rule.c.scope
        mine = [scopes.like("%@" + name.replace("_", "\\_"), escape="\\") for name in sorted(actor.domains)]
        wanted.append(or_(scopes == "*", scopes.in_(actor.domains), *mine))
    if search:
        wanted.append(contains(limit_rule.c.scope, search))
    if after is not None:
        wanted.append(tuple_(limit_rule.c.scope, _RANK) > tuple_(after[0], _ORDER.index(after[1])))
    return _with_usage(connection, _rules(connection, *wanted, limit=limit))


@dataclass(frozen=True, slots=True)
class HeldView:
    """What is held for an account by its limits or a freeze; `why` are the words of the oldest, held `since` then."""

    address: str
    deliveries: int
    why: str
    since: datetime
    is_frozen: bool


def held(connection: Connection, actor: Actor, *, address: str | None = None, limit: int = PAGE) -> list[HeldView]:
    """For whom of the actor's accounts something is held, the most deliveries first; or for one account."""
    who = select(account.c.id, account.c.local_part, domain.c.name, account.c.frozen_at).join_from(account, domain)
    if address is not None:
        one = freezing.held_of(connection, accounts.number_of(connection, actor, address)[0])
        found = [one] if one else []
    else:
        only = None if actor.all_domains else freezing.holders(connection, actor.domains)
        found = freezing.held_for(connection, only, limit)
    names = {row.id: row for row in connection.execute(who.where(account.c.id.in_([x.account_id for x in found])))}
    return [
        HeldView(
            address=f"{names[each.account_id].local_part}@{names[each.account_id].name}",
            deliveries=each.deliveries,
            why=each.held_by,
            since=from_micros(each.since),
            is_frozen=names[each.account_id].frozen_at is not None,
        )
        for each in found
        if each.account_id in names
    ]


@dataclass(frozen=True, slots=True)
class SenderView:
    """An account that sent much of late: what it sent in the window, and the rule that is nearest to its end."""

    address: str
    used: Used
    nearest: RuleUsage | None


def top_senders(connection: Connection, actor: Actor, per: Per = Per.DAY, limit: int = 10) -> list[SenderView]:
    """The actor's accounts with the most recipients in the last day (or hour, or minute), against their limits."""
    second = now_micros() // 1_000_000
    of = None if actor.all_domains else actor.domains
    shared: dict[Rule, RuleUsage] = {}
    views = []
    for sender in rule_usage.top_senders(connection, per, second, domains=of, most=limit):
        name = sender.address.rpartition("@")[2]
        found = _rules(connection, limit_rule.c.scope.in_([sender.address, name, f"each@{name}", "*"]))
        uses = []
        for rule in rules_for(found, sender.address, name):
            use = shared.get(rule) or rule_usage.account_usage(
                connection, rule, sender.account_id, sender.domain_id, sender.address, second
            )
            if rule.is_shared:
                shared[rule] = use
            uses.append(use)
        views.append(SenderView(sender.address, sender.used, max(uses, key=lambda use: use.percent, default=None)))
    return views


def _rules(connection: Connection, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Rule]:
    query: Select[*tuple[object, ...]] = select(limit_rule).where(*conditions).order_by(limit_rule.c.scope, _RANK)
    rows = connection.execute(query if limit is None else query.limit(limit))
    return [Rule(row.scope, Per(row.per), row.messages, row.recipients, Over(row.over), row.first_time) for row in rows]


def _with_usage(connection: Connection, rules: Iterable[Rule]) -> list[RuleUsage]:
    second = now_micros() // 1_000_000
    return [rule_usage.rule_usage(connection, rule, second) for rule in rules]


def _numbers(connection: Connection, address: str) -> tuple[int, int, str]:
    """Account, domain and key of an address that is an account."""
    wanted = read_address(address)
    ids = select(account.c.id, account.c.domain_id).join_from(account, domain)
    row = connection.execute(ids.where(domain.c.name == wanted.domain, account.c.local_part == wanted.local_key)).one()
    return row.id, row.domain_id, wanted.key


def _require(connection: Connection, actor: Actor, scope: Scope, *, changes: bool = False, exists: bool = True) -> None:
    """Check role and existence. What a whole domain or the host is granted is not for a domain's administrator."""
    if changes and scope.text in ("*", scope.domain):
        require_all_domains(actor, f"the limits of {scope.text} are set")
    if scope.domain:
        require_domain(actor, scope.domain)
    if scope.is_account and exists:
        accounts.get(connection, actor, scope.text)
    elif scope.domain and exists:
        domains.get(connection, actor, scope.domain)


def _delete(connection: Connection, scope: Scope, per: Per | None) -> int:
    gone = delete(limit_rule).where(limit_rule.c.scope == scope.text)
    if per is not None:
        gone = gone.where(limit_rule.c.per == per.value)
    return connection.execute(gone).rowcount
