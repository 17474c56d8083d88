"""`mailstack limit`: a face on `management/limits`."""

from typing import TYPE_CHECKING, Any

import click

from mailstack.cli.host import Host, counted, json_option, pass_host, print_json, print_table
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
      *                   the default: every account, unless the account itself or
                          each@ its domain has a limit for the same window
    Each recipient of submitted mail counts, over a sliding window, and a first-time recipient (one that the account
    never wrote to before) counts as that too; all limits that apply must allow. A limit per message bounds the
    recipients of each message.

    \b
    mailstack limit set '*' --per day --recipients 1000 --first-time 200
    mailstack limit set '*' --per message --recipients 100
    mailstack limit set ann@example.org --per day --recipients 5000 --over hold
    mailstack limit show ann@example.org
    """


@command.command("set")
@click.argument("scope")
@click.option("--per", type=per_choice, required=True, help="The window, or each message.")
@click.option("--messages", type=int, help="At most so many messages in it.")
@click.option("--recipients", type=int, help="At most so many recipients in it.")
@click.option("--first-time", type=int, help="At most so many recipients in it that it never wrote to before.")
@click.option(
    "--over",
    type=click.Choice([over.value for over in Over]),
    default="refuse",
    show_default=True,
    help="What is over it is refused for now, or accepted, held and released by itself.",
)
@pass_host
def set_(
    host: Host,
    scope: str,
    per: str,
    messages: int | None,
    recipients: int | None,
    first_time: int | None,
    over: str,
) -> None:
    """Set the limit of a scope and window, in place of the one there."""
    rule = host.write(limits.set_rule, Rule(scope, Per(per), messages, recipients, Over(over), first_time))
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
        for use in host.read(limits.of_account, scope):
            if use.rule.scope != limits.read_scope(scope).text:
                click.echo(f"also applies: at most {use.rule} ({use.percent} % used)")
        for held in host.read(limits.held, address=scope):
            click.echo(f"held: {held.deliveries} deliveries ({held.why})")


@command.command("list")
@json_option
@pass_host
def list_(host: Host, as_json: bool) -> None:
    """List all limits, as `show` does."""
    _print(host.read(limits.find, limit=None), as_json, "there is no limit: every account may send without bound")


@command.command()
@click.argument("scope")
@click.option("--per", type=per_choice, help="Only the limit of this window.")
@pass_host
def clear(host: Host, scope: str, per: str | None) -> None:
    """Remove the limits of a scope."""
    count = host.write(limits.clear, scope, Per(per) if per else None)
    click.echo(f"{scope}: {counted(count, 'limit')} removed")


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
            _of(use.used_first_time, use.rule.first_time),
            use.rule.over,
            use.frees_at,
        )
        for use in shown
    ]
    print_table(("SCOPE", "PER", "MESSAGES", "RECIPIENTS", "FIRST-TIME", "OVER", "FREES AT"), rows, nothing)


def _told(use: "RuleUsage") -> dict[str, Any]:
    return {
        "scope": use.rule.scope,
        "per": use.rule.per,
        "messages": use.rule.messages,
        "recipients": use.rule.recipients,
        "first_time": use.rule.first_time,
        "used_messages": use.used_messages,
        "used_recipients": use.used_recipients,
        "used_first_time": use.used_first_time,
        "frees_at": use.frees_at,
        "over": use.rule.over,
    }


def _of(used: int, cap: int | None) -> str:
    return f"{used} of {'any' if cap is None else cap}"
