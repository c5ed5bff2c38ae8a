"""`ledgerbeat doctor`."""

import click

from ops.cli.output import as_json, print_json

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@as_json
@click.pass_context
def doctor(context: click.Context, /, as_json: bool) -> None:
    """What is configured, reachable, migrated and lagging, and the fix for each problem.

    Exit code 0 when there is no problem (warnings are none), 1 when there is.
    """
    from ops.doctor import examine  # brings Celery and Alembic: only where they are needed

    findings = examine()
    problems = sum(finding.verdict == "problem" for finding in findings)
    if as_json:
        print_json({"healthy": not problems, "findings": findings})
        context.exit(1 if problems else 0)
    for finding in findings:
        click.echo(
            f"{click.style(f'{finding.verdict:<8}', fg=COLOURS[finding.verdict])} {finding.check}: {finding.found}"
        )
        if finding.fix:
            click.echo(f"         what to do: {finding.fix}")
    click.echo(f"{problems} problems, {sum(finding.verdict == 'warning' for finding in findings)} warnings")
    context.exit(1 if problems else 0)
