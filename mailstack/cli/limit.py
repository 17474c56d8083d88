"""`mailstack limit`: a face on `management/limits`."""

from typing import TYPE_CHECKING, Any

import click

from mailstack.cli.host import Host, json_option, pass_host, print_json, print_table
from mailstack.management import limits
from mailstack.policy.limits import Over, Per, Rule

if TYPE_CHECKING:
    from mailstack.store.rule_usage import RuleUsage

per_choice = click.Choice([per.value for per in Per])


@click.group("limit")
def command() -> None:
    """How much may be sent, and how much was.

    \b
    A SCOPE is one of
      ann@example.org     that account
      example.org         all its accounts together
      each@example.org    every account of it, for itself
      *                   every account that has no rule of its own for that window
    Each recipient of submitted mail counts, over a sliding window; all rules that apply must allow.

    \b
    mailstack limit set '*' --per hour --recipients 200
    mailstack limit set ann@example.org --per day --recipients 5000 --over hold
    mailstack limit show ann@example.org
    """


@command.command("set")
@click.argument("scope")
@click.option("--per", type=per_choice, required=True, help="The window.")
@click.option("--messages", type=int, help="At most so many messages in it.")
@click.option("--recipients", type=int, help="At most so many recipients in it.")
@click.option(
    "--over",
    type=click.Choice([over.value for over in Over]),
    default="refuse",
    show_default=True,
    help="What is over it is refused for now, or accepted, held and released by itself.",
)
@pass_host
def set_(host: Host, scope: str, per: str, messages: int | None, recipients: int | None, over: str) -> None:
    """Set the limit of a scope and window, in place of the one there."""
    rule = host.write(limits.set_rule, Rule(scope, Per(per), messages, recipients, Over(over)))
    click.echo(f"at most {rule}; what is over it is {'held' if rule.over is Over.HOLD else 'refused'}")


@command.command()
@click.argument("scope")
@json_option
@pass_host
def show(host: Host, scope: str, as_json: bool) -> None:
    """Show the limits of a scope, what is used of them, and when they free.

    Where a rule is each account's own, the use shown is that of the busiest account.
    """
    shown = host.read(limits.show, scope)
    _print(shown, as_json, f"{scope} has no limit of its own")
    if not as_json and limits.read_scope(scope).is_account:
        for rule in host.read(limits.applying, scope):
            if rule not in [use.rule for use in shown]:
                click.echo(f"also applies: at most {rule}")


@command.command("list")
@json_option
@pass_host
def list_(host: Host, as_json: bool) -> None:
    """List all limits, as `show` does."""
    _print(host.read(limits.find), as_json, "there is no limit: every account may send without bound")


@command.command()
@click.argument("scope")
@click.option("--per", type=per_choice, help="Only the limit of this window.")
@pass_host
def clear(host: Host, scope: str, per: str | None) -> None:
    """Remove the limits of a scope."""
    count = host.write(limits.clear, scope, Per(per) if per else None)
    click.echo(f"{scope}: {count} limit{'' if count == 1 else 's'} removed")


def _print(shown: "list[RuleUsage]", as_json: bool, nothing: str) -> None:
    if as_json:
        print_json([_told(use) for use in shown])
        return
    rows = [
        (
            use.rule.scope,
            use.rule.per,
            _of(use.used_messages, use.rule.messages),
            _of(use.used_recipients, use.rule.recipients),
            use.rule.over,
            use.frees_at,
        )
        for use in shown
    ]
    print_table(("SCOPE", "PER", "MESSAGES", "RECIPIENTS", "OVER", "FREES AT"), rows, nothing)


def _told(use: "RuleUsage") -> dict[str, Any]:
    return {
        "scope": use.rule.scope,
        "per": use.rule.per,
        "messages": use.rule.messages,
        "recipients": use.rule.recipients,
        "used_messages": use.used_messages,
        "used_recipients": use.used_recipients,
        "frees_at": use.frees_at,
        "over": use.rule.over,
    }


def _of(used: int, cap: int | None) -> str:
    return f"{used} of {'any' if cap is None else cap}"
