"""One batch of a lane: claim, check, apply run by run in order, finish - in one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from models.errors import InvalidArguments, LedgerbeatError
from models.jobs.claim import Job, claim, lock_lane
from models.jobs.outcomes import Cooling, Dead, Done, Outcome, Parked, Refused, finish
from models.tenants import load_tenant
from tasks.intake.port import Routing, Touched, Work
from tasks.intake.runs import cut
from worker.database import Transaction
from worker.telemetry import describe_error

OUTCOMES = (Done, Refused, Parked, Cooling, Dead)
UNREADABLE = {"pointer": "", "message": "Numbers and nesting of any ordinary size are expected."}


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What one batch, or one drain, did. `taken`: someone else was at work in the lane. `more`: work is left."""

    claimed: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    taken: bool = False
    more: bool = False


class BatchFailed(LedgerbeatError):
    """A batch was rolled back; its cause is the cause of this. `jobs` were claimed in it."""

    def __init__(self, jobs: Sequence[Job], error: BaseException) -> None:
        super().__init__(f"{len(jobs)} jobs were rolled back: {describe_error(error)}")
        self.jobs = tuple(jobs)
        self.error = error


class HandlerBroke(LedgerbeatError):
    """A handler did not return one outcome per job."""


def drain_batch(
    transaction: Transaction, tenant: str, *, limit: int, now: datetime, routing: Routing
) -> DrainReport:
    """Apply the oldest `limit` jobs of the lane in one transaction. Raises BatchFailed, and then nothing happened."""
    jobs: list[Job] = []
    try:
        with transaction() as session:
            if not lock_lane(session, tenant):
                return DrainReport(taken=True)
            jobs += claim(session, tenant, limit=limit)
            outcomes = _apply(session, tenant, jobs, routing, now)
    except Exception as error:
        raise BatchFailed(jobs, error) from error
    return DrainReport(len(jobs), outcomes)


def _apply(
    session: Session, tenant: str, jobs: Sequence[Job], routing: Routing, now: datetime
) -> Mapping[str, int]:
    """Run by run, in order. What is parked is written at once, so that a later run of this batch can wake it."""
    checked = [_check(job, routing) for job in jobs]
    pending: list[tuple[Job, Outcome]] = []
    pending += [(job, dead) for job, dead in zip(jobs, checked, strict=True) if isinstance(dead, Dead)]
    tally = Counter(dead=len(pending))
    works = [one for one in checked if isinstance(one, Work)]
    for run in cut(zip(works, _touched(session, tenant, works, routing), strict=True)):
        outcomes = _run(session, tenant, run.name, run.works, routing, now)
        tally.update(type(outcome).__name__.lower() for _, outcome in outcomes)
        pending += outcomes
        if any(isinstance(outcome, Parked) for _, outcome in outcomes):
            finish(session, pending, now=now)
            pending = []
    finish(session, pending, now=now)
    return +tally


def _touched(
    session: Session, tenant: str, works: Sequence[Work[Any]], routing: Routing
) -> Sequence[Touched]:
    """What each job touches; not asked, and not needed, when all have one name."""
    found: list[Touched] = [None] * len(works)
    names = {work.job.name for work in works}
    for name in sorted(names) if len(names) > 1 else ():
        if touching := routing[name].touching:
            places = [place for place, work in enumerate(works) if work.job.name == name]
            answers = touching(session, tenant, [works[place] for place in places])
            for place, touched in zip(places, answers, strict=True):
                found[place] = touched
    return found


def _check(job: Job, routing: Routing) -> Work[Any] | Dead:
    """The job with its checked arguments, or why it can never be processed."""
    route = routing.get(job.name)
    if route is None or (route.origins is not None and job.origin not in route.origins):
        return Dead("unknown_job", {"cause": "no job of this name"})
    if job.args is None:
        return Dead("invalid_arguments", {"errors": [UNREADABLE]})
    try:
        return Work(job, route.parse(job.args))
    except InvalidArguments as error:
        return Dead(error.code, {"errors": error.errors})


def _run(
    session: Session, tenant: str, name: str, works: Sequence[Work[Any]], routing: Routing, now: datetime
) -> list[tuple[Job, Outcome]]:
    """One run of one name. The tenant is read anew: an earlier run may have changed its policy."""
    outcomes = routing[name].handler(session, works, tenant=load_tenant(session, tenant), now=now)
    if len(outcomes) != len(works):
        raise HandlerBroke(f"{name}: {len(works)} outcomes were expected, {len(outcomes)} came")
    answers: Sequence[object] = outcomes
    if wrong := [answer for answer in answers if not isinstance(answer, OUTCOMES)]:
        raise HandlerBroke(f"{name}: an outcome was expected, {type(wrong[0]).__name__} came")
    return [(work.job, outcome) for work, outcome in zip(works, outcomes, strict=True)]
