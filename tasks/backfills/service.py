"""Runs of backfills: start, pause, resume, cancel; work on one until its end; find those that nobody works on.

start ──▶ pending ──▶ tick gives a turn ──▶ batch ──▶ batch ──▶ ... ──▶ done
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from models import audit
from models.backfills.claims import give_turns
from models.backfills.runs import (
    NewRun,
    Run,
    ask_to_stop,
    create_run,
    known_run,
    resume_run,
)
from models.backfills.tables import BATCH_ROWS_MAX
from models.errors import LedgerbeatError
from models.tenants import load_tenant
from tasks.backfills.batch import BatchReport, run_batch
from tasks.backfills.ending import end, halt, stop
from tasks.backfills.hands import Hands
from tasks.backfills.kinds import Kind, kind_of, tenant_of
from tasks.backfills.policy import HANDED_OVER_SECONDS, why_cap_refused
from tasks.backfills.progress import progress
from tasks.backfills.taking import why_taken_file
from worker.database import Transaction
from worker.settings import TenantSettings

BATCH_ROWS = 5000
TURNS_MAX = 50
POLL_SECONDS = 0.5
NAMESPACE = "legacy"
EXISTING = ("refuse", "difference")

log = structlog.get_logger("ledgerbeat.backfills")


class NotPossible(LedgerbeatError):
    """What was asked of a run does not fit it, or where it stands. The message says why."""


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What is asked for. `source` as in worker.sources.registry; without `namespace` the mapping's, else `legacy`."""

    id: UUID
    tenant: str
    kind: str
    source: Mapping[str, Any]
    actor: str
    reason: str
    namespace: str | None = None
    dry_run: bool = False
    batch_rows: int | None = None
    max_amount_minor: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    job_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class _By:
    """Who asks, and why."""

    actor: str
    reason: str
    now: datetime
    job_id: UUID | None


def check(tenants: Mapping[str, TenantSettings], request: StartRequest) -> None:
    """Looks at the source itself: a header, a query's columns. Raises SourceFailed and NotPossible. No transaction."""
    kind = kind_of(request.kind)
    _refuse_impossible(request, kind)
    kind.check(tenant_of(tenants, request.tenant), request.source)


def refuse_taken(
    transaction: Transaction,
    tenants: Mapping[str, TenantSettings],
    request: StartRequest,
    *,
    now: datetime,
    on_hash: Callable[[], object] = lambda: None,
) -> None:
    """Raises NotPossible for a file that was taken to its end before, as the first batch would find out. `on_hash` is
    called where that takes reading the file. No transaction. Raises SourceFailed."""
    new = _new_run(tenants, request, now=now)
    why = why_taken_file(transaction, tenant_of(tenants, request.tenant), new, on_hash)
    if why is not None:
        raise NotPossible(why)


def start(
    session: Session, tenants: Mapping[str, TenantSettings], request: StartRequest, *, now: datetime
) -> Run:
    """Make the run, audited; the tick begins with it. The same id, or job, again is the same run.

    Reads settings only. Raises SourceFailed, NotPossible and UnknownTenant.
    """
    new = _new_run(tenants, request, now=now)
    load_tenant(session, request.tenant)
    run, created = create_run(session, new, now=now)
    if created:
        detail = {
            "kind": run.kind, "namespace": run.namespace, "dry_run": run.dry_run, "options": dict(run.options),
            "max_amount_minor": run.max_amount_minor,
        }  # fmt: skip
        _audit(
            session, run, "backfills.start", _By(request.actor, request.reason, now, request.job_id), detail
        )
    return run


def pause(
    session: Session,
    run_id: UUID,
    *,
    actor: str,
    reason: str,
    now: datetime,
    tenant: str | None = None,
    job_id: UUID | None = None,
) -> Run:
    """Stop until it is resumed: at once, or after the batch that is under way. Raises NotFound and NotPossible."""
    run = known_run(session, run_id, tenant=tenant, lock=True)
    if run.state not in ("pending", "running"):
        raise NotPossible(f"backfill {run.id} is {run.state}: only what is pending or running can be paused")
    if _is_worked_on(run, now):
        ask_to_stop(session, run, "pause")
    else:
        halt(session, run, "asked")
    return _done(session, run, "backfills.pause", _By(actor, reason, now, job_id))


def resume(
    session: Session,
    run_id: UUID,
    *,
    actor: str,
    reason: str,
    now: datetime,
    tenant: str | None = None,
    job_id: UUID | None = None,
    max_amount_minor: int | None = None,
) -> Run:
    """Go on where a paused or failed run stopped; at its cap it needs a higher one. Raises NotFound and NotPossible."""
    run = known_run(session, run_id, tenant=tenant, lock=True)
    if run.state not in ("paused", "failed"):
        raise NotPossible(f"backfill {run.id} is {run.state}: only what is paused or failed can be resumed")
    cap = run.max_amount_minor if max_amount_minor is None else max_amount_minor
    if (refused := why_cap_refused(run, cap)) is not None:
        raise NotPossible(refused)
    resume_run(session, run, max_amount_minor=cap, now=now)
    return _done(session, run, "backfills.resume", _By(actor, reason, now, job_id), {"max_amount_minor": cap})


def cancel(
    session: Session,
    run_id: UUID,
    *,
    actor: str,
    reason: str,
    now: datetime,
    tenant: str | None = None,
    job_id: UUID | None = None,
) -> Run:
    """End it for good; what it has posted stays. Raises NotFound and NotPossible."""
    run = known_run(session, run_id, tenant=tenant, lock=True)
    if run.is_final:
        raise NotPossible(f"backfill {run.id} is {run.state} already")
    if _is_worked_on(run, now):
        ask_to_stop(session, run, "cancel")
    else:
        end(session, run, "cancelled", now=now)
    return _done(session, run, "backfills.cancel", _By(actor, reason, now, job_id), {"posted": run.posted})


def work(hands: Hands, run_id: UUID, turn: int | None = None) -> BatchReport:
    """Do the next batch, and send the message for the one after it; what the broker does not take, the tick finds."""
    report = run_batch(hands, run_id, turn)
    if report.more and not report.wait_seconds:
        _publish(hands, report.run)
    return report


def tick(hands: Hands) -> int:
    """Send a message for each run that is due and that nobody has: begun just now, rested, or left lying by a process
    that died. How many. One that was to stop stops here: its batch never came, or never ended."""
    now = hands.clock()
    with hands.transaction() as session:
        runs = give_turns(session, seconds=HANDED_OVER_SECONDS, limit=TURNS_MAX, now=now)
        for run in runs:
            if run.stop_asked is not None:
                stop(session, run, now=now)
    return sum(_publish(hands, run) for run in runs if run.stop_asked is None)


def run_to_end(hands: Hands, run_id: UUID, on_progress: Callable[[Run], object] = lambda _run: None) -> Run:
    """Batch after batch in this process, until the run is at its end, paused or failed. If another process has it,
    wait for that. Raises as run_batch does."""
    turn: int | None = None
    while True:
        report = run_batch(hands, run_id, turn)
        on_progress(report.run)
        if report.run.state not in ("pending", "running"):
            return report.run
        turn = None if report.taken else report.run.claim_version
        if pause := POLL_SECONDS if report.taken else report.wait_seconds:
            hands.sleep(pause)


def _publish(hands: Hands, run: Run) -> bool:
    try:
        hands.publish(run.id, run.claim_version, str(progress(run)))
    except Exception as error:  # noqa: BLE001 - whatever the broker has, the tick does it again
        log.warning("backfill.not_published", backfill_id=str(run.id), error=type(error).__name__)
        return False
    return True


def _new_run(tenants: Mapping[str, TenantSettings], request: StartRequest, *, now: datetime) -> NewRun:
    kind = kind_of(request.kind)
    _refuse_impossible(request, kind)
    source = kind.settle(tenant_of(tenants, request.tenant), request.source, now)
    mapping = source.get("mapping") or {}
    return NewRun(
        id=request.id,
        tenant=request.tenant,
        kind=request.kind,
        source=source,
        namespace=request.namespace or mapping.get("namespace") or NAMESPACE,
        actor=request.actor,
        reason=request.reason,
        dry_run=request.dry_run,
        batch_rows=request.batch_rows or BATCH_ROWS,
        max_amount_minor=request.max_amount_minor,
        options=request.options,
        job_id=request.job_id,
    )


def _refuse_impossible(request: StartRequest, kind: Kind) -> None:
    if request.batch_rows is not None and not 1 <= request.batch_rows <= BATCH_ROWS_MAX:
        raise NotPossible(f"batch_rows must be 1..{BATCH_ROWS_MAX}, {request.batch_rows} was asked for")
    if unknown := request.options.keys() - kind.options - {"force"}:
        raise NotPossible(f"a backfill of {request.kind} has no option {min(unknown)}")
    if request.options.get("existing", EXISTING[0]) not in EXISTING:
        raise NotPossible(f"existing is one of {', '.join(EXISTING)}")
    if request.max_amount_minor is not None and not kind.takes_cap:
        raise NotPossible(
            "re-fetched webhooks go through the same intake as webhooks: pause the tenant or the provider instead "
            "of a cap"
        )
    if request.max_amount_minor is not None and request.max_amount_minor < 0:
        raise NotPossible("max_amount_minor cannot be negative")


def _is_worked_on(run: Run, now: datetime) -> bool:
    """A batch may be under way. Before the first only a message is, and that finds a run that was stopped."""
    return run.state == "running" and run.claimed_until is not None and run.claimed_until > now


def _done(session: Session, run: Run, action: str, by: _By, detail: Mapping[str, Any] | None = None) -> Run:
    _audit(session, run, action, by, detail or {})
    return known_run(session, run.id)


def _audit(session: Session, run: Run, action: str, by: _By, detail: Mapping[str, Any]) -> None:
    audit.record(
        session,
        tenant=run.tenant,
        actor=by.actor,
        action=action,
        subject=f"backfill:{run.id}",
        reason=by.reason,
        now=by.now,
        detail=detail,
        job_id=by.job_id,
    )
