"""reconciliation.run: a run that somebody asks for is due from now on; the tick sends it on its way."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy.orm import Session

from models.jobs.outcomes import Done, Outcome, Refused
from models.reconciliation.due import ask_for_runs, known_providers
from models.tenants import Tenant
from tasks.intake.port import Work
from worker.catalogue import ReconciliationRun


def ask_for_nights(
    session: Session, work: Sequence[Work[ReconciliationRun]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `reconciliation.run`: one outcome per job, in order."""
    known = known_providers(session, tenant.name)
    today = tenant.business_date(now)
    decided = [judge(one.args, known, today) for one in work]
    wanted = sorted({one for one in decided if isinstance(one, tuple)})
    due = ask_for_runs(session, tenant.name, wanted, now=now) if wanted else set()
    return [_answer(one, due) if isinstance(one, tuple) else one for one in decided]


def judge(args: ReconciliationRun, known: set[str], today: date) -> tuple[str, date] | Refused:
    """Which run is meant, or why there can be none. Pure."""
    day = date.fromisoformat(args.business_date)
    if args.provider not in known:
        return Refused("provider_not_configured", {"provider": args.provider})
    if day > today:
        return Refused("date_not_begun", {"business_date": args.business_date, "today": today.isoformat()})
    return args.provider, day


def _answer(run: tuple[str, date], due: set[tuple[str, date]]) -> Done:
    result = {"provider": run[0], "business_date": run[1].isoformat()}
    return Done(result | {"run": "due"}) if run in due else Done(result | {"run": "running"}, "running")
