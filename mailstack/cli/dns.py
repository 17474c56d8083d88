"""`mailstack dns`: a face on `operations/dns_records`."""

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from mailstack.cli.host import Host, json_option, pass_host, print_json, print_table
from mailstack.management import domains
from mailstack.store.directory import DomainKind

if TYPE_CHECKING:
    from mailstack.operations.dns_records import DnsFinding


@click.group("dns")
def command() -> None:
    """What DNS must say of a domain, and what it says.

    \b
    mailstack dns show example.org
    mailstack dns check example.org
    """


@command.command()
@click.argument("domain")
@json_option
@pass_host
def show(host: Host, domain: str, as_json: bool) -> None:
    """Show the records to put into the domain's zone."""
    from mailstack.operations.dns_records import needed_records, own_addresses

    view = host.read(domains.get, domain)
    records = needed_records(host.config, view.name, DomainKind(view.kind), own_addresses(host.config))
    if as_json:
        print_json([dataclasses.asdict(record) for record in records])
        return
    rows = [(f"{one.name}.", one.type, _in_zone(one.type, one.value), one.purpose) for one in records]
    print_table(("NAME", "TYPE", "VALUE", "PURPOSE"), rows, "nothing is needed")


@command.command()
@click.argument("domain")
@json_option
@pass_host
def check(host: Host, domain: str, as_json: bool) -> None:
    """Ask DNS for the records and say what is missing or wrong.

    Exit code 1 when something is wrong. Asks the name servers of the config, else the system's.
    """
    view = host.read(domains.get, domain)
    findings = _ask(host, view.name, DomainKind(view.kind))
    if as_json:
        print_json([_told(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{'right' if finding.is_right else 'wrong'}  {finding.what}")
    wrong = sum(not finding.is_right for finding in findings)
    if wrong:
        raise click.ClickException(f"{wrong} record{' is' if wrong == 1 else 's are'} wrong; mend and check again")


def _told(finding: "DnsFinding") -> dict[str, object]:
    return {
        "name": finding.name,
        "type": finding.type,
        "found": list(finding.found),
        "right": finding.is_right,
        "what": finding.what,
    }


def _in_zone(record_type: str, value: str) -> str:
    return f'"{value}"' if record_type == "TXT" else value


def _ask(host: Host, domain: str, kind: DomainKind) -> "list[DnsFinding]":
    """Run the reactor for as long as the questions take."""
    from twisted.internet import reactor as installed
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from mailstack.net.resolver import Resolver
    from mailstack.operations.dns_records import check_records

    reactor: Any = installed
    answers: list[Any] = []

    def ask() -> None:
        resolver = Resolver(reactor, host.config.outbound.nameservers)
        asking = Deferred.fromCoroutine(check_records(host.config, domain, kind, resolver))
        asking.addBoth(answers.append)
        asking.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(ask)
    reactor.run()
    if not answers:
        raise KeyboardInterrupt
    (answer,) = answers
    if isinstance(answer, Failure):
        answer.raiseException()
    findings: list[DnsFinding] = answer
    return findings
