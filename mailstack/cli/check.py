"""`mailstack check`: a face on `operations/inspection`."""

from datetime import UTC, datetime

import click

from mailstack.cli.host import Host, json_option, pass_host, print_json
from mailstack.operations.inspection import inspect_host


@click.command("check")
@json_option
@pass_host
def command(host: Host, as_json: bool) -> None:
    """Read the config and the database and say what is wrong; starts nothing.

    Exit code 1 when something is wrong; notes alone leave it at 0.
    """
    findings = inspect_host(host.config, datetime.now(UTC))
    wrong = sum(finding.is_wrong for finding in findings)
    if as_json:
        print_json([{"wrong": finding.is_wrong, "what": finding.what} for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{'wrong' if finding.is_wrong else 'note '}  {finding.what}")
    if wrong:
        raise click.ClickException(f"{wrong} thing{' is' if wrong == 1 else 's are'} wrong; mend and check again")
    if not as_json:
        click.echo("nothing is wrong")
