"""`ledgerbeat verify`: every invariant of the ledger and of the path money takes to it."""

from datetime import UTC, datetime

import click

from models.ledger.verify import Check
from models.ledger.verify import verify as check_invariants
from ops.cli.connection import transaction_of
from ops.cli.output import as_json, print_json
from ops.running import running_settings

STATEMENT_SECONDS_MAX = 600
"""For each invariant, as in the hourly schedule: some read the whole ledger."""


@click.command()
@click.option("--tenant", help="Only this tenant.")
@as_json
@click.pass_context
def verify(context: click.Context, tenant: str | None, as_json: bool) -> None:
    """Check that the books are right. Exit code 0 clean, 1 broken, 2 error."""
    with (
        transaction_of(running_settings(), statement_seconds=STATEMENT_SECONDS_MAX) as transaction,
        transaction() as opened,
    ):
        checks = check_invariants(opened, tenant, now=datetime.now(UTC))
    if as_json:
        print_json({"clean": not any(check.broken for check in checks), "checks": checks})
    else:
        for check in checks:
            print_check(check)
    context.exit(1 if any(check.broken for check in checks) else 0)


def print_check(check: Check) -> None:
    """One line when clean; what is broken and what to do when not."""
    verdict = click.style("BROKEN", fg="red") if check.broken else click.style("ok", fg="green")
    click.echo(f"{verdict:<6} {check.name}: {check.meaning}")
    for broken in check.broken[:10]:
        click.echo(f"       {broken.tenant}: {broken.subject}: {broken.detail}")
    if len(check.broken) > 10:
        click.echo(f"       and {len(check.broken) - 10} more")
    if check.broken:
        click.echo(f"       what to do: {check.remedy}")
