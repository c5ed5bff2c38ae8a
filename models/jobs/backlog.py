"""What waits, and for how long: nobody should have to look for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

PARKED_WARNING = timedelta(hours=24)
PARKED_PROBLEM = timedelta(hours=72)

# Each select is answered by a partial index of its own, however long the history is.
WAITING = text("""
    SELECT tenant, state, reason, count(*) AS jobs,
        greatest(extract(epoch FROM clock_timestamp() - min(since)), 0)::float8 AS oldest_seconds
    FROM (
        SELECT tenant, state, '' AS reason, due_at AS since FROM jobs WHERE state = 'queued'
        UNION ALL
        SELECT tenant, state, coalesce(last_error, ''), accepted_at FROM jobs WHERE state = 'parked'
        UNION ALL
        SELECT tenant, state, coalesce(result ->> 'code', ''), accepted_at FROM jobs WHERE state = 'dead'
    ) AS open
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
""")

OVERDUE = text("""
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8
    FROM jobs WHERE state IN ('cooling', 'parked')
""")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs of one tenant that wait for one reason. A queued one waits since it was due, others since accepted."""

    tenant: str
    state: str
    reason: str
    jobs: int
    oldest_seconds: float


def waiting(session: Session) -> Sequence[Waiting]:
    """All queued, parked and dead jobs, by tenant, state and reason."""
    return [Waiting(*row) for row in session.execute(WAITING)]


def overdue_seconds(session: Session) -> float:
    """For how long the most overdue of the cooling and parked jobs should have been woken; not positive: none."""
    return float(session.execute(OVERDUE).scalar_one())


def ageing(state: str, age: timedelta) -> str:
    """A remark for a parked job that has waited too long; else nothing."""
    if state != "parked" or age < PARKED_WARNING:
        return ""
    return f" (ageing: {round(age / timedelta(hours=1))} h)"
