"""What waits, and for how long: nobody should have to look for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware

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

# The next of each lane, and the most overdue of those that a sweep should have woken: one index probe each, however
# long the lanes are.
OLDEST_DUE = text("""
    SELECT least(
        (SELECT min(next.due_at) FROM tenants t CROSS JOIN LATERAL (
            SELECT due_at FROM jobs WHERE tenant = t.tenant AND state = 'queued' ORDER BY seq LIMIT 1) AS next),
        (SELECT min(due_at) FROM jobs WHERE state IN ('cooling', 'parked')))
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


def due_seconds(session: Session, *, now: datetime) -> float:
    """For how long the oldest due job of all lanes waits; 0 when none does. Costs a few index probes."""
    oldest = session.execute(OLDEST_DUE).scalar_one()
    return 0.0 if oldest is None else max(0.0, (require_aware(now) - oldest).total_seconds())


def ageing(state: str, age: timedelta) -> str:
    """A remark for a parked job that has waited too long; else nothing."""
    if state != "parked" or age < PARKED_WARNING:
        return ""
    return f" (ageing: {round(age / timedelta(hours=1))} h)"
