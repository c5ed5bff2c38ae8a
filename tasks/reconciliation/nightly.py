"""A night from its message to its report: fill gaps in the webhooks, run, tell people.

    due? ──▶ lock ──▶ sweep of the provider's events ──▶ reconcile() ──▶ report
                          a sweep that fails stops nothing     a report that cannot be written neither

The run alone decides; what stands around it may fail, and is told in the log.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import structlog

from models.reconciliation.due import RunName
from models.reconciliation.runs import load_run, note_report
from models.reconciliation.seen import note_sweep, taken_files
from models.tenants import load_tenant
from tasks.reconciliation.completeness import Sweep, fill_gaps
from tasks.reconciliation.facts import read_facts
from tasks.reconciliation.hands import Hands, Locks
from tasks.reconciliation.outcome import RunReport
from tasks.reconciliation.policy import night_of
from tasks.reconciliation.report import ReportPaths, write_report
from tasks.reconciliation.scheduling import has_work
from tasks.reconciliation.service import reconcile
from tasks.reconciliation.settlements import SettlementTerms
from worker.providers.records.declared import DeclaredKinds
from worker.providers.records.events import KEPT, missed_events
from worker.providers.records.port import BadRow, Record, RecordSource, SourceFailed, Window
from worker.providers.records.registry import files, source
from worker.settings import ProviderSettings, SettingsError
from worker.telemetry import describe_error

LOCK_SECONDS = 900
FRESH = timedelta(minutes=10)
"""The webhooks of events that are younger may still be on their way."""

log = structlog.get_logger("ledgerbeat.reconciliation")


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a night. `paths` is None when there is no report (`problem` says why), `sweep` when the list of the
    provider's events was not read."""

    report: RunReport
    paths: ReportPaths | None = None
    sweep: Sweep | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class NoFile:
    """The source of an account whose next file has not come: the run fails, and is tried again later."""

    path: str

    def read(self, window: Window) -> Iterator[Record | BadRow]:  # noqa: ARG002 - see RecordSource
        raise SourceFailed(f"there is no report file at {self.path} that was not taken before")


def run_due(hands: Hands, locks: Locks, tenant: str, provider: str, business_date: date) -> Told | None:
    """The night, if there is work in it and nobody else is at it."""
    run = RunName(tenant, provider, business_date)
    account = hands.account(tenant, provider)
    if account is None or not has_work(hands, run):
        return None
    with locks.held(f"{tenant}:{provider}:{business_date}", LOCK_SECONDS) as lock:
        if lock is None:
            return None
        return run_night(hands, run, account, source_of(hands, run, account))


def run_night(
    hands: Hands,
    run: RunName,
    account: ProviderSettings,
    records: RecordSource,
    *,
    even_if_short: bool = False,
) -> Told:
    """Run it now, whether it is due or not. Raises as reconcile() does."""
    sweep = _sweep(hands, run, account)
    report = reconcile(
        hands.transaction,
        run.tenant,
        run.provider,
        run.business_date,
        DeclaredKinds(records, account.record_kinds) if account.record_kinds else records,
        clock=hands.clock,
        even_if_short=even_if_short,
        terms=SettlementTerms(account.bank_account, account.is_bank, account.grace_seconds),
    )
    if report.state == "taken":
        return Told(report, None, sweep)
    if sweep is not None and report.run_id is not None:
        with hands.transaction() as session:
            note_sweep(session, report.run_id, listed=sweep.listed, missed=sweep.missed)
    paths, problem = _write(hands, report, account)
    return Told(report, paths, sweep, problem)


def source_of(hands: Hands, run: RunName, account: ProviderSettings) -> RecordSource:
    """The account's API; of an account with files the one that this run took before, else the next by name."""
    if account.records is None:
        return source(account, hands.patience)
    with hands.transaction() as session:
        row = load_run(session, run.tenant, run.provider, run.business_date)
        taken = taken_files(session, run.tenant, run.provider)
    ours = row["id"] if row is not None else None
    there = files(account)
    again = [one for one in there if ours is not None and taken.get(one.name) == ours]
    fresh = [one for one in there if one.name not in taken]
    chosen = (again or fresh)[:1]
    return chosen[0] if chosen else NoFile(account.records.path)


def _sweep(hands: Hands, run: RunName, account: ProviderSettings) -> Sweep | None:
    """Everything that the night looks back to; None where there is no list, or it could not be read."""
    if account.adapter not in KEPT or not account.pays_out:
        return None
    since, until = _window(hands, run)
    if since >= until:
        return None
    try:
        listed = missed_events(account, since, until, hands.patience)
        found = fill_gaps(hands.transaction, run.tenant, account, listed, now=hands.clock())
    except (SourceFailed, SettingsError) as error:
        cause = str(error)
    except Exception as error:  # noqa: BLE001 - a list that cannot be kept is no reason to compare nothing
        cause = describe_error(error)
    else:
        _tell(run, found)
        return found
    log.warning("reconciliation.sweep_failed", **_facts(run), cause=cause)
    return None


def _tell(run: RunName, found: Sweep) -> None:
    if found.missed or found.unreadable:
        log.warning("reconciliation.webhooks_missed", **_facts(run), **asdict(found))


def _window(hands: Hands, run: RunName) -> tuple[datetime, datetime]:
    with hands.transaction() as session:
        timezone = load_tenant(session, run.tenant).timezone
    night = night_of(run.business_date, timezone)
    return night.fetched_from, min(night.fetched_until, hands.clock() - FRESH)


def _write(
    hands: Hands, report: RunReport, account: ProviderSettings
) -> tuple[ReportPaths | None, str | None]:
    """The three files; the row says where. What the run has concluded stands, whatever becomes of them."""
    try:
        shown_by = hands.shows_bank_account_of(report.tenant, account)
        with read_facts(hands.transaction, report, now=hands.clock(), shown_by=shown_by) as (facts, more):
            paths = write_report(facts, hands.reports.absolute(), more=more)
        with hands.transaction() as session:
            note_report(session, report.run_id or 0, str(paths.html))
    except Exception as error:  # noqa: BLE001 - a full disk or a page that breaks loses no finding
        cause = describe_error(error)
        log.warning("reconciliation.report_failed", run_id=report.run_id, cause=cause)
        return None, cause
    return paths, None


def reports_folder(home: Path) -> Path:
    """Where the reports of an installation with this home lie."""
    return home / "reports"


def _facts(run: RunName) -> dict[str, str]:
    return {
        "tenant": run.tenant,
        "provider": run.provider,
        "business_date": run.business_date.isoformat(),
    }
