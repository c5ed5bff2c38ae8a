"""One night of one provider: claim the run, stage what the provider tells, match both directions, conclude.

    claim ──▶ stage ──▶ survey ──▶ book ──▶ checks ──▶ match, findings, ending (one transaction)
                │          │ implausibly short
   SourceFailed ▼          ▼
              failed    truncated: the feed opens nothing and closes nothing

Until the last transaction commits nothing is concluded, so a run that was killed anywhere runs again as if it were the
first time; fees and settlements are booked once by their keys. Every write shows the claim: of two that run at once,
one works.
"""

from dataclasses import replace
from datetime import date

import structlog

from models.base import require_aware
from models.reconciliation.concluding import count_open
from models.reconciliation.runs import ClaimLost, claim_run, end_run
from models.reconciliation.scope import Scope, allow_long_statements
from models.reconciliation.staging import forget_records
from models.reconciliation.surveying import Survey
from models.tenants import Tenant, load_tenant
from tasks.reconciliation.concluding import (
    book_all,
    check_invariants,
    match_and_conclude,
    strangers_of,
    unknown_events,
)
from tasks.reconciliation.feeding import file_of, is_short, look_over, refuse_taken, stage_feed
from tasks.reconciliation.outcome import RunReport
from tasks.reconciliation.policy import KEPT, Night, forgotten_before, lookback_for, night_of, settled_before
from tasks.reconciliation.run import LEDGER, STAGING_SECONDS, Clock, Run
from tasks.reconciliation.settlements import SettlementTerms
from worker.database import Transaction
from worker.providers.records.port import RecordSource, SourceFailed

__all__ = ["RunReport", "reconcile"]

NO_TERMS = SettlementTerms()

log = structlog.get_logger("ledgerbeat.reconciliation")


def reconcile(
    transaction: Transaction,
    tenant: str,
    provider: str,
    business_date: date,
    source: RecordSource,
    *,
    clock: Clock,
    lookback_days: int | None = None,
    with_checks: bool = True,
    even_if_short: bool = False,
    terms: SettlementTerms = NO_TERMS,
) -> RunReport:
    """Run the night once, or once again. Safe to repeat, to run twice at once and to be killed anywhere.

    `terms` are the account's. `even_if_short`: a person has looked, the feed is as short as it seems. Raises
    UnknownTenant, and whatever is not the source's fault; the run is then `failed` and can be run again.
    """
    with transaction() as session:
        known = load_tenant(session, tenant)
    grace = known.policy.reconcile_grace_seconds if terms.grace_seconds is None else terms.grace_seconds
    days = lookback_for(grace) if lookback_days is None else lookback_days
    night = night_of(business_date, known.timezone, lookback_days=days)
    run = _claim(transaction, known, provider, business_date, night, clock, terms, grace)
    if run is None:
        return RunReport(tenant, provider, business_date, "taken")
    try:
        run.file = file_of(source)
        return _work(run, source, with_checks=with_checks, even_if_short=even_if_short)
    except ClaimLost:
        log.warning("reconciliation.claim_lost", tenant=tenant, provider=provider, run_id=run.claim.run_id)
        return RunReport(tenant, provider, business_date, "taken", run_id=run.claim.run_id)
    except SourceFailed as error:
        return _fail(run, str(error))
    except Exception as error:
        _fail(run, f"failed: {type(error).__name__}")
        raise


def _claim(
    transaction: Transaction,
    tenant: Tenant,
    provider: str,
    business_date: date,
    night: Night,
    clock: Clock,
    terms: SettlementTerms,
    grace_seconds: int,
) -> Run | None:
    now = require_aware(clock())
    with transaction() as session:
        claim = claim_run(
            session,
            tenant.name,
            provider,
            business_date,
            window=(night.judged_from, night.ends_at),
            seconds=STAGING_SECONDS,
            now=now,
        )
    if claim is None:
        return None
    scope = Scope(
        run_id=claim.run_id,
        tenant=tenant.name,
        provider=provider,
        fetched_from=night.fetched_from,
        fetched_until=night.fetched_until,
        judged_from=night.judged_from,
        judged_until=night.ends_at,
        settled_before=settled_before(now, grace_seconds),
        forgotten_before=forgotten_before(business_date, tenant.timezone),
        bank_account=terms.bank_account,
        is_bank=terms.is_bank,
    )
    return Run(transaction, clock, claim, tenant, night, scope)


def _work(run: Run, source: RecordSource, *, with_checks: bool, even_if_short: bool) -> RunReport:
    if run.file is not None:
        refuse_taken(run, run.file)
    stage_feed(run, source)
    found = look_over(run)
    if is_short(run, found) and not even_if_short:
        return _truncate(run, found)
    book_all(run, found)
    checks = check_invariants(run) if with_checks else ()
    report = match_and_conclude(run, found, checks)
    _forget(run)
    _tell(report)
    return report


def _truncate(run: Run, found: Survey) -> RunReport:
    """Say so, and conclude nothing from the feed."""
    with run.transaction() as session:
        providers, now = [run.claim.provider, LEDGER], run.clock()
        strangers = strangers_of(run, session, now=now)
        report = run.report(
            "truncated",
            findings=unknown_events(strangers),
            opened=strangers.opened,
            reopened=strangers.reopened,
            ignored=strangers.ignored,
            closed=strangers.closed,
            findings_open=count_open(session, run.claim.tenant, providers),
            error=_why_short(run, found),
        )
        end_run(session, run.claim, report.ending(), now=now)
    _tell(report)
    return report


def _why_short(run: Run, found: Survey) -> str:
    nights = "" if found.median_records is None else f", the last nights had {found.median_records} records"
    return f"{found.provider_rows} movements in {run.records} records; the ledger has {found.ledger_rows}{nights}"


def _fail(run: Run, error: str) -> RunReport:
    """Nothing was concluded, and the run may be tried again at once. Whoever has taken it over is left alone."""
    report = run.report("failed", error=error)
    try:
        with run.transaction() as session:
            still_open = count_open(session, run.claim.tenant, [run.claim.provider, LEDGER])
            report = replace(report, findings_open=still_open)
            end_run(session, run.claim, report.ending(), now=run.clock())
    except Exception as also:  # noqa: BLE001 - the claim runs out by itself
        log.warning("reconciliation.not_ended", run_id=run.claim.run_id, error=type(also).__name__)
    _tell(report)
    return report


def _forget(run: Run) -> None:
    """Let go of what is older than anything a night looks back to."""
    claim = run.claim
    with run.transaction() as session:
        allow_long_statements(session)
        forget_records(session, claim.tenant, claim.provider, before=claim.business_date - KEPT)


def _tell(report: RunReport) -> None:
    log.info(
        "reconciliation.ended",
        state=report.state,
        tenant=report.tenant,
        provider=report.provider,
        business_date=report.business_date.isoformat(),
        run_id=report.run_id,
        records=report.records,
        bad_rows=report.bad_rows,
        matched=report.matched,
        findings=sum(report.findings.values()),
        findings_open=report.findings_open,
        error=report.error,
    )
