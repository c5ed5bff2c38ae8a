"""What waits in the database, and whether Beat keeps the time. Ages come from the database's own clock."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from models.jobs.backlog import PARKED_PROBLEM, PARKED_WARNING, Waiting, overdue_seconds, waiting
from ops.doctor.findings import Finding, ok, problem, warning

LAG_SECONDS_WARNING = 60
LAG_SECONDS_MAX = 600
OVERDUE_SECONDS_MAX = 60
SLOT_SECONDS_MAX = 2 * 3600 + 300
"""The ledger is verified every hour: after two hours without a slot nobody ticks."""

NEWEST_SLOT = text(
    "SELECT extract(epoch FROM clock_timestamp() - max(claimed_at))::float8 FROM schedule_slots"
)
RUNBOOK = "ops/runbooks/repair.md"


def check_beat(connection: Connection) -> Iterator[Finding]:
    """Beat leaves two traces: the hourly slots, and no cooling or parked job stays overdue."""
    fix = "start one: celery -A worker beat; and see that workers take the queue 'intake'"
    with Session(connection) as session:
        overdue = overdue_seconds(session)
    if overdue > OVERDUE_SECONDS_MAX:
        yield problem("beat", f"a waiting job is {_age(overdue)} overdue: nobody sweeps", fix)
    age = connection.execute(NEWEST_SLOT).scalar_one()
    if age is None:
        yield warning(
            "beat", "no schedule has ever run here; some seconds after the first start one does", fix
        )
    elif age > SLOT_SECONDS_MAX:
        yield problem("beat", f"the newest schedule slot is {_age(age)} old", fix)
    else:
        yield ok("beat", f"the newest schedule slot is {_age(age)} old")


def check_backlog(connection: Connection) -> Iterator[Finding]:
    """Per tenant: the oldest due job, the dead, the parked."""
    with Session(connection) as session:
        rows = waiting(session)
    queued = [row for row in rows if row.state == "queued"]
    yield from (_lag(row) for row in queued)
    if not queued:
        yield ok("lag", "nothing is due")
    for tenant, dead in groupby((row for row in rows if row.state == "dead"), key=lambda row: row.tenant):
        yield _dead(tenant, list(dead))
    yield from (_parked(row) for row in rows if row.state == "parked")


def _lag(row: Waiting) -> Finding:
    found = f"{row.tenant}: {row.jobs} jobs are due, the oldest for {_age(row.oldest_seconds)}"
    if row.oldest_seconds <= LAG_SECONDS_WARNING:
        return ok("lag", found)
    fix = f"see that workers answer (below), start more, and look at: ledgerbeat jobs list --tenant {row.tenant}"
    return (problem if row.oldest_seconds > LAG_SECONDS_MAX else warning)("lag", found, fix)


def _dead(tenant: str, rows: Sequence[Waiting]) -> Finding:
    total, oldest = sum(row.jobs for row in rows), max(row.oldest_seconds for row in rows)
    reasons = ", ".join(f"{row.jobs} {row.reason}" for row in rows)
    found = f"{tenant}: {total} dead ({reasons}), the oldest accepted {_age(oldest)} ago"
    return warning("dead", found, f"ledgerbeat jobs redrive --tenant {tenant} --dry-run; {RUNBOOK}")


def _parked(row: Waiting) -> Finding:
    found = (
        f"{row.tenant}: {row.jobs} parked as {row.reason}, the oldest accepted {_age(row.oldest_seconds)} ago"
    )
    if row.oldest_seconds <= PARKED_WARNING.total_seconds():
        return ok("parked", found)
    fix = f"ledgerbeat jobs list --tenant {row.tenant} --state parked --older-than 24h; {RUNBOOK}"
    if row.oldest_seconds > PARKED_PROBLEM.total_seconds():
        return problem("parked", found, fix)
    return warning("parked", f"{found}: ageing", fix)


def _age(seconds: float) -> str:
    """15 s, 12 min, 30 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
