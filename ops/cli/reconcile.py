"""`ledgerbeat reconcile`: one business date of one provider account, now, in the foreground."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import click

from models.errors import LedgerbeatError
from models.money import format_minor
from models.reconciliation.due import RunName
from models.tenants import load_tenant
from ops.cli.connection import transaction_of
from ops.cli.output import as_json, print_facts, print_json, print_table
from ops.cli.quiet import quiet_logs
from ops.running import running_settings
from tasks.reconciliation.hands import Hands
from tasks.reconciliation.nightly import Told, reports_folder, run_night, source_of
from tasks.reconciliation.outcome import RunReport
from tasks.reconciliation.totals import SideTotal
from worker.providers.records.asking import Patience
from worker.providers.records.columns import ReportFormat
from worker.providers.records.port import BadRow, Record, RecordSource, Window
from worker.providers.records.registry import file_source
from worker.settings import ProviderSettings, Settings

PATIENCE = Patience(tries=3)
"""A person waits for it: seconds, where the night has an hour."""
TOLD_EVERY_ROWS = 50_000
FORMATS = get_args(ReportFormat)


class CannotReconcile(LedgerbeatError):
    """What was asked for cannot be run; the message says why."""


class Watched:
    """A source that says on standard error how far it has been read. All else is the source's own."""

    def __init__(self, source: RecordSource) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def read(self, window: Window) -> Iterator[Record | BadRow]:
        """See RecordSource."""
        click.echo("reading the provider's records ...", err=True)
        rows = 0
        for rows, one in enumerate(self._source.read(window), 1):
            yield one
            if rows % TOLD_EVERY_ROWS == 0:
                click.echo(f"{rows:,} records", err=True)
        click.echo(f"{rows:,} records; matching ...", err=True)


@click.command()
@click.option("--tenant", required=True)
@click.option("--provider", required=True)
@click.option(
    "--date", "day", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The tenant's local day."
)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A report file, in place of the account's own source.",
)
@click.option("--format", "format_", type=click.Choice(FORMATS), help="The file's; default: the account's.")
@click.option(
    "--accept-short", is_flag=True, help="Conclude although the feed is implausibly short: I have looked."
)
@as_json
@click.pass_context
def reconcile(
    context: click.Context,
    /,
    tenant: str,
    provider: str,
    day: datetime,
    file: Path | None,
    format_: ReportFormat | None,
    accept_short: bool,
    as_json: bool,
) -> None:
    """Run the night once, or once again, and write its report.

    Exit code 0 clean, 1 findings (or a feed too short to conclude from), 2 error.
    """
    settings, run = running_settings(), RunName(tenant, provider, day.date())
    if format_ is not None and file is None:
        raise click.UsageError("--format goes with --file")
    with _hands(settings) as hands:
        account = _account(settings, run)
        _refuse_future(hands, run)
        records = file_of(account, file, format_) if file else source_of(hands, run, account)
        with quiet_logs():
            told = run_night(hands, run, account, Watched(records), even_if_short=accept_short)
    _print_json(told) if as_json else print_told(told)
    context.exit(told.report.exit_code)


@contextmanager
def _hands(settings: Settings) -> Iterator[Hands]:
    with transaction_of(settings) as transaction:
        yield Hands(transaction, settings.tenants, reports_folder(settings.home), patience=PATIENCE)


def _account(settings: Settings, run: RunName) -> ProviderSettings:
    tenant = settings.tenants.get(run.tenant)
    account = tenant.providers.get(run.provider) if tenant else None
    if account is None:
        raise CannotReconcile(
            f"the settings have no tenants.{run.tenant}.providers.{run.provider}; see LEDGERBEAT_CONFIG"
        )
    return account


def _refuse_future(hands: Hands, run: RunName) -> None:
    with hands.transaction() as session:
        today = load_tenant(session, run.tenant).business_date(datetime.now(UTC))
    if run.business_date > today:
        raise CannotReconcile(f"{run.business_date} has not begun; today is {today} for {run.tenant}")


def file_of(account: ProviderSettings, file: Path, format_: ReportFormat | None) -> RecordSource:
    """The file in the format that is said, or the account's. Raises CannotReconcile without the columns it needs."""
    told = account.records
    chosen = format_ or (told.format if told else None)
    if chosen is None:
        raise CannotReconcile(f"say the file's --format, one of {', '.join(FORMATS)}")
    columns = told.columns if told and told.format == chosen else None
    if chosen != "adyen_settlement" and columns is None:
        raise CannotReconcile(
            f"the format {chosen} needs columns: set [...providers.{account.name}.records] with "
            f'format = "{chosen}" and the table columns'
        )
    zone = ZoneInfo(told.timezone if told else "UTC")
    return file_source(chosen, file, columns, zone, is_bank=account.is_bank)


def print_told(told: Told) -> None:
    """For people: how it ended, both sides by currency, the findings by kind, and where the report lies."""
    report = told.report
    if report.state == "taken":
        raise CannotReconcile("another process is at work on this run; try again when it has ended")
    print_facts(
        {
            "run": f"{report.run_id}, revision {report.revision}: {report.state}",
            "of": f"{report.tenant}/{report.provider} {report.business_date}",
            "records": f"{report.records:,} ({report.bad_rows:,} rows could not be read)",
            "webhooks missed": _missed(told),
            "booked": f"{report.fees_booked:,} fees, {report.settlements_booked:,} settlements to the bank",
            "findings": f"{report.opened} new, {report.reopened} again, {report.closed} closed, "
            f"{report.findings_open} open",
        }
    )
    if report.totals:
        click.echo()
        print_totals(report)
    if report.findings:
        click.echo()
        print_table(("finding", "rows"), list(report.findings.items()), empty="")
    for check in report.checks:
        if check.broken:
            click.secho(f"BROKEN {check.name}: {check.meaning}; {check.remedy}", fg="red")
    _print_verdict(report)
    click.echo(f"report: {told.paths.html if told.paths else f'could not be written: {told.problem}'}")


def print_totals(report: RunReport) -> None:
    """Matched, expected and in findings make up the total, on each side, as on the page. Repeated and ignored records
    stand beside it."""
    rows = [
        (currency, side, *_amounts(total, currency))
        for currency, both in report.totals.items()
        for side, total in (("provider", both.provider), ("ledger", both.ledger))
    ]
    columns = (
        "currency",
        "side",
        "total amount",
        "matched amount",
        "expected amount",
        "in findings amount",
        "repeated amount",
        "ignored amount",
    )
    print_table(columns, rows, empty="")


def _amounts(total: SideTotal, currency: str) -> list[str]:
    parts = (
        (total.rows, total.minor),
        (total.matched_rows, total.matched_minor),
        (total.expected_rows, total.expected_minor),
        (total.findings_rows, total.findings_minor),
        (total.repeated_rows, total.repeated_minor),
        (total.ignored_rows, total.ignored_minor),
    )
    return [f"{format_minor(minor, currency)} ({rows:,})" for rows, minor in parts]


def _missed(told: Told) -> str:
    if told.sweep is None:
        return "not asked"
    found = f"{told.sweep.missed:,} of {told.sweep.listed:,}"
    return f"{found}; they are jobs now" if told.sweep.missed else found


def _print_verdict(report: RunReport) -> None:
    """The last word; what is wrong goes to standard error too."""
    if report.state == "failed":
        click.secho(f"FAILED: {report.error}", fg="red", err=True)
    elif report.state == "truncated":
        click.secho(
            f"TRUNCATED: {report.error}. Nothing was opened or closed. "
            "Ask the provider; when it is right after all: --accept-short",
            fg="red", err=True,
        )  # fmt: skip
    elif report.is_clean:
        click.secho("clean: provider and ledger agree on everything that is due", fg="green")
    else:
        click.secho("not clean: see the report, and ledgerbeat findings list", fg="yellow")
    if not report.adds_up:
        click.secho("the totals do not add up: tell the developers", fg="red", file=sys.stderr)


def _print_json(told: Told) -> None:
    report = told.report
    paths = asdict(told.paths) if told.paths else None
    print_json(
        asdict(report)
        | {"clean": report.is_clean, "adds_up": report.adds_up, "report": paths, "webhooks": told.sweep}
    )
