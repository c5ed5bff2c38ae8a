"""The drain of a lane: claim the oldest jobs, apply them in order, write down what became of each - one transaction.

When a batch fails for a reason that may pass (deadlock, lost connection) it is run again. When it fails for good, the
oldest part of it is run alone, half as long each time, until the job that fails stands alone: that one is set aside,
its neighbours are not. Nothing of a failed batch remains, so running it again is safe.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from models.errors import PostingRaced
from models.jobs.claim import Job, claim, has_work, lanes_with_work, lock_lane, wake_due
from models.jobs.outcomes import Cooling, Dead, finish
from tasks.intake.batch import BatchFailed, DrainReport, drain_batch
from tasks.intake.port import Routing
from worker.database import Transaction, is_transient
from worker.telemetry import describe_error

BATCH_ROWS_MAX = 200
BATCHES_MAX = 20
SWEEP_ROWS_MAX = 5000
SECONDS_MAX = 2.0
RETRIES_MAX = 5
BACKOFF_SECONDS = 0.05
ATTEMPTS_MAX = 5
COOLING_SECONDS = 10
TIMEOUTS = {"57014", "25P03"}
"""Of a statement, and of an idle transaction: half a minute or more each, so no batch is run into them twice."""
CONTENTION = {"40001", "40P01", "55P03", "53200"} | TIMEOUTS
"""Those, serialization, deadlock, locks, memory: they pass, and when they do not, a job is the cause."""
OUTAGES = {"53100", "58030", "25006", "42P01", "42703", "42883", "42501"}
"""Disk full, input/output error, read-only standby; no such table, column or function, no such right: the database
cannot write, or is not at this code's schema, whatever the job."""

Result = TypeVar("Result")
log = structlog.get_logger("ledgerbeat.intake")


def drain(
    transaction: Transaction,
    tenant: str,
    *,
    routing: Routing,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None] = time.sleep,
    batches_max: int = BATCHES_MAX,
    seconds_max: float = SECONDS_MAX,
) -> DrainReport:
    """Drain the lane until it is empty, someone else has it, or its turn is over (then `more`).

    Who finds the lane taken goes away, so its holder looks once more after it has let go of it: a job that was
    nudged in the moment between is not left to the sweep. A failing job is still set aside after the turn is over.
    Raises BatchFailed when the database stays away or nothing could be claimed at all: the sweep comes back.
    """
    lane = _Lane(transaction, tenant, routing, clock, sleep)
    turn_ends = time.monotonic() + seconds_max
    total: Counter[str] = Counter()
    batches = suspects = 0
    looked_again = False
    while suspects or (batches < batches_max and time.monotonic() < turn_ends):
        try:
            report = lane.batch(max(1, suspects // 2) if suspects else BATCH_ROWS_MAX)
        except BatchFailed as failed:
            suspects = lane.narrow(failed)
            continue
        if report.taken or (not report.claimed and (looked_again or lane.is_empty())):
            return _told(tenant, DrainReport(total.total(), total, taken=report.taken))
        looked_again = not report.claimed
        suspects = max(0, suspects - report.claimed)
        batches += 1
        total.update(report.outcomes)
    return _told(tenant, DrainReport(total.total(), total, more=True))


def _told(tenant: str, report: DrainReport) -> DrainReport:
    if report.claimed:
        log.info("intake.drained", tenant=tenant, more=report.more, **report.outcomes)
    return report


def sweep(transaction: Transaction, *, now: datetime) -> list[str]:
    """Queue what has waited long enough, and say which lanes have work, the longest waiting first."""
    with transaction() as session:
        woken = wake_due(session, now=now, limit=SWEEP_ROWS_MAX)
        lanes = lanes_with_work(session)
    if woken:
        log.info("intake.swept", woken=woken, lanes=len(lanes))
    return [lane.tenant for lane in lanes]


@dataclass(frozen=True, slots=True)
class _Lane:
    """One lane, and what is needed to drain it."""

    transaction: Transaction
    tenant: str
    routing: Routing
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]

    def batch(self, limit: int) -> DrainReport:
        """The next batch, run again while its error may pass. Raises BatchFailed."""
        run = partial(drain_batch, self.transaction, self.tenant, limit=limit, routing=self.routing)
        return _retrying(lambda: run(now=self.clock()), self.sleep)

    def is_empty(self) -> bool:
        """Asked without the lane: what was accepted while we had it is seen."""

        def ask() -> bool:
            with self.transaction() as session:
                return not has_work(session, self.tenant)

        return _retrying(ask, self.sleep)

    def narrow(self, failed: BatchFailed) -> int:
        """Among how many of the oldest jobs the failing one is now known to be: 0 when it has been set aside."""
        if not failed.jobs or not _blames_a_job(failed.error):
            raise failed
        if len(failed.jobs) > 1:
            return len(failed.jobs)
        _retrying(lambda: self.set_aside(failed.jobs[0], failed.error), self.sleep)
        return 0

    def set_aside(self, job: Job, error: BaseException) -> None:
        """Cool the job, or bury it after ATTEMPTS_MAX, if it is still the next in its lane."""
        now = self.clock()
        outcome = after_failure(job, error, now)
        with self.transaction() as session:
            if not lock_lane(session, self.tenant) or claim(session, self.tenant, limit=1) != [job]:
                return
            finish(session, [(job, outcome)], now=now)
        event = "intake.job.dead" if isinstance(outcome, Dead) else "intake.job.cooling"
        cause, attempt = describe_error(error), job.attempts + 1
        log.error(event, job_id=str(job.id), name=job.name, tenant=job.tenant, attempt=attempt, cause=cause)


def after_failure(job: Job, error: BaseException, now: datetime) -> Cooling | Dead:
    """10 s, 20 s, 40 s, 80 s, then dead. Neither names a value of the job."""
    cause = describe_error(error)
    if job.attempts + 1 >= ATTEMPTS_MAX:
        return Dead("failed", {"cause": cause})
    return Cooling(cause, now + timedelta(seconds=COOLING_SECONDS * 2**job.attempts))


def _blames_a_job(error: BaseException) -> bool:
    """False when the database itself is away or cannot write: then no job is to blame, and all wait."""
    if isinstance(error, PostingRaced) or _sqlstate(error) in CONTENTION:
        return True
    return not is_transient(error) and _sqlstate(error) not in OUTAGES


def _may_pass_soon(error: BaseException) -> bool:
    return isinstance(error, PostingRaced) or (is_transient(error) and _sqlstate(error) not in TIMEOUTS)


def _sqlstate(error: BaseException) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None


def _retrying(work: Callable[[], Result], sleep: Callable[[float], None]) -> Result:
    """Run `work` again, up to RETRIES_MAX times, while its error may pass soon: 0 to 50, 100, ... 800 ms between."""
    for attempt in range(RETRIES_MAX):
        try:
            return work()
        except Exception as error:
            cause = error.error if isinstance(error, BatchFailed) else error
            if not _may_pass_soon(cause):
                raise
            log.info("intake.batch.retried", attempt=attempt + 1, cause=describe_error(cause))
        sleep(random.uniform(0, BACKOFF_SECONDS * 2**attempt))  # noqa: S311 - spreads retries, guards nothing
    return work()
