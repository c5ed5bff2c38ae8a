"""Backfills: none has stopped without a person's asking for it, and none waits for a worker.

A dry run that has stopped stands in nobody's way: `ledgerbeat backfill status` tells of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from models.backfills.runs import Run, find_runs
from ops.doctor.findings import Finding, ok, problem, warning

UNTAKEN_MAX = timedelta(seconds=60)
"""One that is due for longer and has not begun waits for a worker, or for Beat."""
STILL_MAX = timedelta(minutes=10)
"""One that has begun, and whose next batch is due for longer, is worked on by nobody. Batches take seconds."""
RUNS_MAX = 50
AT_WORK = ("pending", "running")
STOPPED = ("paused", "failed")

WAYS_ON = {
    "source_changed": "put the file back that it began with and resume it, or cancel it and start one of the new file",
    "source_failed": "put the source right",
    "batch_failed": "find the cause in the workers' log",
}
TAKE = "see that Beat runs and a worker takes the queue 'backfills' (celery -A worker worker -Q backfills)"


def check_backfills(connection: Connection) -> Iterator[Finding]:
    """Each that is open; one line when there is none."""
    now = datetime.now(UTC)
    with Session(connection) as session:
        runs = find_runs(session, states=AT_WORK, limit=RUNS_MAX)
        runs += find_runs(session, states=STOPPED, dry_run=False, limit=RUNS_MAX)
    if not runs:
        yield ok("backfills", "none is open")
    for run in runs:
        yield judge(run, now)


def judge(run: Run, now: datetime) -> Finding:
    """What is to be said of an open run. Pure."""
    name = f"{run.tenant} {run.kind} {run.id}"
    resume = f"ledgerbeat backfill resume {run.id} --reason ..."
    why = f" ({run.last_error})" if run.last_error else ""
    if run.state == "failed":
        return problem(
            "backfills", f"{name} has failed{why}", f"put its cause right, then: {resume}, or cancel it"
        )
    if run.state == "paused":
        return _paused(run, name, why, resume)
    due_at = max(run.next_batch_at, run.last_batch_at or run.next_batch_at)
    if now - due_at > (UNTAKEN_MAX if run.started_at is None else STILL_MAX):
        return problem("backfills", f"{name} is {run.state} and nobody works on it", TAKE)
    return ok("backfills", f"{name} is {run.state}")


def _paused(run: Run, name: str, why: str, resume: str) -> Finding:
    if run.pause_code == "asked":
        return ok("backfills", f"{name} is paused, as somebody asked")
    if run.pause_code == "cap_reached":
        cap = f"{resume} --max-amount-minor ..., or cancel it"
        return warning("backfills", f"{name} is paused at its cap{why}", cap)
    way = WAYS_ON.get(str(run.pause_code), "put its cause right")
    return problem("backfills", f"{name} is paused: {run.pause_code}{why}", f"{way}; then: {resume}")
