"""The demo's last chapter: the day is held against the sandbox's own books, and told in a report that stays."""

from datetime import UTC, datetime
from pathlib import Path

import click

from models.reconciliation.due import RunName
from models.tenants import load_tenant
from ops.cli.connection import transaction_of
from ops.cli.quiet import quiet_logs
from ops.cli.reconcile import print_told
from ops.demo.doors import TENANT
from tasks.reconciliation.hands import Hands
from tasks.reconciliation.nightly import run_night, source_of
from worker.settings import Settings

PROVIDER = "sandbox"


def reconcile_today(settings: Settings, reports: Path) -> bool:
    """As `ledgerbeat reconcile` does it. Is it clean?"""
    click.secho(f"\nThe night (ledgerbeat reconcile --tenant {TENANT} --provider {PROVIDER})", bold=True)
    with transaction_of(settings) as transaction:
        with transaction() as session:
            today = load_tenant(session, TENANT).business_date(datetime.now(UTC))
        hands, run = Hands(transaction, settings.tenants, reports), RunName(TENANT, PROVIDER, today)
        account = settings.tenants[TENANT].providers[PROVIDER]
        with quiet_logs():
            told = run_night(hands, run, account, source_of(hands, run, account))
    print_told(told)
    return told.report.is_clean and told.paths is not None
