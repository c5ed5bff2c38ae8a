"""backfills.start, pause, resume, cancel: runs that apps ask for, and what they say about them. Each is audited.

A job names a source of the settings; whether it can be read is found out by the run's first batch, for a handler reads
no file. A handful a year, so they are taken one by one.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from models.backfills.runs import Run, load_run
from models.errors import NotFound
from models.jobs.outcomes import Done, Outcome, Refused
from models.tenants import Tenant
from tasks.backfills import service
from tasks.backfills.moments import moment_of
from tasks.backfills.service import NotPossible, StartRequest
from tasks.intake.port import Work
from worker.catalogue import BackfillCommand, BackfillResume, BackfillStart
from worker.settings import TenantSettings
from worker.sources.port import SourceFailed

Tenants = Callable[[], Mapping[str, TenantSettings]]
"""The tenants of this process's settings, asked for when there is a run to start."""


def start_backfills(
    session: Session, work: Sequence[Work[BackfillStart]], *, tenant: Tenant, now: datetime, tenants: Tenants
) -> list[Outcome]:
    """Handler of `backfills.start`: one outcome per job, in order. The run has the id of its job."""
    return [_start(session, one, tenant.name, tenants(), now) for one in work]


def pause_backfills(
    session: Session, work: Sequence[Work[BackfillCommand]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `backfills.pause`."""
    return [_command(session, one, tenant.name, service.pause, now) for one in work]


def resume_backfills(
    session: Session, work: Sequence[Work[BackfillResume]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `backfills.resume`."""
    return [
        _command(session, one, tenant.name, service.resume, now, max_amount_minor=one.args.max_amount_minor)
        for one in work
    ]


def cancel_backfills(
    session: Session, work: Sequence[Work[BackfillCommand]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `backfills.cancel`."""
    return [_command(session, one, tenant.name, service.cancel, now) for one in work]


def _start(
    session: Session,
    one: Work[BackfillStart],
    tenant: str,
    tenants: Mapping[str, TenantSettings],
    now: datetime,
) -> Outcome:
    args, known = one.args, tenants.get(tenant)
    source: Mapping[str, Any] | Refused = _source(args, known or TenantSettings(name=tenant))
    if isinstance(source, Refused):
        return source
    request = StartRequest(
        id=one.job.id,
        tenant=tenant,
        kind=args.kind,
        source=source,
        actor=args.actor,
        reason=args.reason,
        dry_run=args.dry_run,
        batch_rows=args.batch_rows,
        max_amount_minor=args.max_amount_minor,
        options=args.options.model_dump(include={"existing", "force"}, exclude_none=True),
        job_id=one.job.id,
    )
    try:
        return _done(service.start(session, tenants, request, now=now))
    except (SourceFailed, NotPossible) as error:
        return Refused("not_possible", {"cause": str(error)})


def _source(args: BackfillStart, tenant: TenantSettings) -> dict[str, Any] | Refused:
    """What the run is told of where its rows come from."""
    options = args.options
    if args.source is None:
        return {"type": "wallets"} | ({"owner": options.owner} if options.owner else {})
    if (named := tenant.backfills.get(args.source)) is None:
        return Refused("source_not_configured", {"source": args.source})
    if (named.provider is not None) != (args.kind == "provider_events"):
        return Refused("not_possible", {"cause": f"the source {args.source} is not for {args.kind}"})
    if named.provider is None:
        return {"type": "file" if named.path is not None else "sql", "name": args.source}
    return _events(named.provider, str(options.since), str(options.until), ZoneInfo(tenant.timezone))


def _events(provider: str, since: str, until: str, zone: ZoneInfo) -> dict[str, Any] | Refused:
    try:
        told = {"since": moment_of(since, zone).isoformat(), "until": moment_of(until, zone).isoformat()}
    except ValueError as error:
        return Refused("not_possible", {"cause": str(error)})
    return {"type": "events", "provider": provider, **told}


def _command(
    session: Session,
    one: Work[BackfillCommand],
    tenant: str,
    do: Callable[..., Run],
    now: datetime,
    **more: Any,
) -> Outcome:
    """A run of another tenant is none that is known here."""
    run_id, args = UUID(one.args.backfill_id), one.args
    try:
        told = {"actor": args.actor, "reason": args.reason, "tenant": tenant, "job_id": one.job.id}
        return _done(do(session, run_id, now=now, **told, **more))
    except NotFound:
        return Refused("unknown_backfill")
    except NotPossible as error:
        return _refused(args, load_run(session, run_id), str(error))


def _refused(args: BackfillCommand, run: Run | None, cause: str) -> Refused:
    """A resume of what can be resumed is refused for its cap alone."""
    state = run.state if run else None
    for_its_cap = isinstance(args, BackfillResume) and state in ("paused", "failed")
    return Refused("cap_too_low" if for_its_cap else "wrong_state", {"state": state, "cause": cause})


def _done(run: Run) -> Done:
    return Done({"backfill_id": str(run.id), "state": run.state, "stop_asked": run.stop_asked})
