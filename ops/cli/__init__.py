"""The command line: `ledgerbeat`.

Exit codes are the contract's: 0 all is well, 1 something was found (broken invariants, an open finding),
2 the command could not do its work. Errors are one sentence on standard error, never a traceback.
"""

import sys

import click
from sqlalchemy.exc import DBAPIError

from models.errors import LedgerbeatError
from ops.cli.backfill import backfill
from ops.cli.doctor import doctor
from ops.cli.explain import explain
from ops.cli.findings import findings
from ops.cli.jobs import jobs
from ops.cli.notifications import notifications
from ops.cli.payouts import payouts
from ops.cli.providers import providers
from ops.cli.reconcile import reconcile
from ops.cli.services import demo, migrate, sandbox, up
from ops.cli.tenants import tenants
from ops.cli.verify import verify
from ops.cli.wallets import wallets

EXIT_ERROR = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="ledgerbeat")
def cli() -> None:
    """Ledgerbeat: a background worker and job scheduler for money."""


for command in (
    up,
    demo,
    migrate,
    sandbox,
    verify,
    jobs,
    payouts,
    providers,
    notifications,
    wallets,
    reconcile,
    findings,
    explain,
    backfill,
    tenants,
    doctor,
):
    cli.add_command(command)


def main() -> None:
    """The console script's entry."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_ERROR)
    except LedgerbeatError as error:
        _fail(str(error))
    except DBAPIError as error:
        _fail(f"the database did not answer as expected: {_first_line(error)}")
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(EXIT_ERROR)


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__
