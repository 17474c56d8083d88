"""Sending limits: rules by scope and window, shown with what stands against them.

Neighbours: `policy/limits` says how rules stack, `store/usage` what counts, `reception/submission` refuses or holds.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from mailstack.mail.domain import DomainError, parse_domain
from mailstack.management import accounts, domains
from mailstack.management.actor import Actor, Refused, record, require_all_domains, require_domain
from mailstack.management.acts import now_micros, read_address, read_domain
from mailstack.policy.limits import Over, Per, Rule, rules_for
from mailstack.store.directory import bump_version
from mailstack.store.rule_usage import RuleUsage, rule_usage
from mailstack.store.schema import limit_rule

MAX_CAP = 1_000_000_000
DEFAULT_RULES = (
    Rule("*", Per.HOUR, None, 200, Over.REFUSE),
    Rule("*", Per.DAY, None, 1000, Over.REFUSE),
)
"""What a new host starts with: plenty for a person, little for a thief of a password."""


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


def set_rule(connection: Connection, actor: Actor, rule: Rule) -> Rule:
    """Set the rule of a scope and window, in place of the one there.

    Raises:
        Refused: a bad scope or cap, or no such domain or account.
    """
    scope = read_scope(rule.scope)
    _require(connection, actor, scope, changes=True)
    if rule.messages is None and rule.recipients is None:
        raise Refused("a limit needs a cap; give --messages, --recipients or both")
    for cap in (rule.messages, rule.recipients):
        if cap is not None and not 0 <= cap <= MAX_CAP:
            raise Refused(f"{cap} is no cap; give a number from 0 to {MAX_CAP}")
    new = Rule(scope.text, rule.per, rule.messages, rule.recipients, rule.over)
    _delete(connection, scope, rule.per)
    connection.execute(
        insert(limit_rule).values(
            scope=new.scope,
            per=new.per.value,
            messages=new.messages,
            recipients=new.recipients,
            over=new.over.value,
        )
    )
    record(connection, actor, "limit.set", scope.text, f"{new}, over={new.over}")
    bump_version(connection)
    return new


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
    second = now_micros() // 1_000_000
    rules = [rule for rule in every_rule(connection) if rule.scope == scope.text]
    return [rule_usage(connection, rule, second) for rule in rules]


def applying(connection: Connection, actor: Actor, address: str) -> list[Rule]:
    """All rules that apply to an account, its own first."""
    view = accounts.get(connection, actor, address)
    return list(rules_for(every_rule(connection), view.address.key, view.address.domain))


def every_rule(connection: Connection) -> list[Rule]:
    """All rules of the host, by scope, shortest window first."""
    rows = connection.execute(select(limit_rule).order_by(limit_rule.c.scope))
    rules = [Rule(row.scope, Per(row.per), row.messages, row.recipients, Over(row.over)) for row in rows]
    return sorted(rules, key=lambda rule: (rule.scope, rule.per.seconds))


def find(connection: Connection, actor: Actor) -> list[RuleUsage]:
    """All rules the actor may see, with what stands against each."""
    second = now_micros() // 1_000_000
    seen = [rule for rule in every_rule(connection) if rule.scope == "*" or actor.may_manage(_domain_of(rule.scope))]
    return [rule_usage(connection, rule, second) for rule in seen]


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


def _domain_of(scope: str) -> str:
    name = scope.rpartition("@")[2]
    try:
        return parse_domain(name)
    except DomainError:
        return name
