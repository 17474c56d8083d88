"""Sending limits, by the API."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from admin_ui.api.operations import operation
from admin_ui.api.values import Body, Items, Paging
from admin_ui.core.acts import act, ask
from mailstack.management import limits
from mailstack.management.actor import Refused
from mailstack.management.limits import MAX_CAP
from mailstack.policy.limits import Over, Per, Rule
from mailstack.store.rule_usage import RuleUsage

Cap = Annotated[int, Meta(ge=0, le=MAX_CAP)] | None


class Limit(Struct):
    """A rule and what stands against it, as `mailstack limit show --json` tells it."""

    scope: str
    per: str
    messages: int | None
    recipients: int | None
    first_time: int | None
    over: Literal["hold", "refuse"]
    used_messages: int
    used_recipients: int
    used_first_time: int
    frees_at: datetime | None


class LimitChange(Body):
    """The caps of a rule; null = no cap of that kind."""

    messages: Cap = None
    recipients: Cap = None
    first_time: Cap = None
    over: Literal["hold", "refuse"] = "refuse"


@operation("GET", "/limits", "limits:read", "The rules of your domains, with what stands against them")
def list_limits(query: Paging) -> Items[Limit]:
    """By scope; `next` is a scope and a window."""
    scope, _, window = query.after.rpartition(" ")
    after = (scope, _per(window)) if query.after else None
    found = ask(limits.find, search=query.search, after=after, limit=query.limit + 1)
    shown = found[: query.limit]
    more = len(found) > query.limit
    return Items([_told(use) for use in shown], f"{shown[-1].rule.scope} {shown[-1].rule.per}" if more else None)


@operation("GET", "/limits/{scope}", "limits:read", "The rules of a scope")
def get_limits(scope: str) -> list[Limit]:
    """The scope is `*`, a domain, `each@domain` or an address."""
    return [_told(use) for use in ask(limits.show, scope)]


@operation("PUT", "/limits/{scope}/{per}", "limits:write", "Set a rule, in place of the one there", status=204)
def set_limit(scope: str, per: str, body: LimitChange) -> None:
    """The part `per` is message, minute, hour or day."""
    rule = Rule(scope, _per(per), body.messages, body.recipients, Over(body.over), first_time=body.first_time)
    act(limits.set_rule, rule)


@operation("DELETE", "/limits/{scope}/{per}", "limits:write", "Remove a rule", status=204)
def clear_limit(scope: str, per: str) -> None:
    """What it holds leaves as other limits allow."""
    act(limits.clear, scope, _per(per))


def _per(text: str) -> Per:
    if text not in set(Per):
        raise Refused(f'"{text}" is no window; take {", ".join(Per)}')
    return Per(text)


def _told(use: RuleUsage) -> Limit:
    rule = use.rule
    return Limit(
        rule.scope,
        rule.per.value,
        rule.messages,
        rule.recipients,
        rule.first_time,
        "hold" if rule.over is Over.HOLD else "refuse",
        use.used_messages,
        use.used_recipients,
        use.used_first_time,
        use.frees_at,
    )
