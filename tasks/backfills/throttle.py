"""What a backfill sees of live work, and the pace that follows from it."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.jobs.backlog import due_seconds
from tasks.backfills.pacing import Surroundings, pace
from tasks.backfills.port import Pace, PaceFacts

# Everybody may read pg_locks; what others wait for in pg_stat_activity is hidden from a worker's role. The setting is
# for what is asked next, until the transaction ends: see models.jobs.claim.LOCK_LANE.
WAITING = text("""
    SELECT count(DISTINCT l.pid), set_config('enable_seqscan', 'off', true)
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database()
""")

# For what this transaction holds; it is looked at while it still does.
BEHIND_US = text("""
    SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
""")


def throttle(session: Session, facts: PaceFacts, now: datetime) -> Pace:
    """A tasks.backfills.port.Pacing that makes room for live work."""
    return pace(facts, surroundings(session, now))


def waiters(session: Session) -> int:
    """How many sessions wait for what this transaction holds."""
    return int(session.execute(BEHIND_US).scalars().one())


def surroundings(session: Session, now: datetime) -> Surroundings:
    """How long live jobs wait, as `ledgerbeat_oldest_due_seconds` says, and how many sessions wait for a lock."""
    waiting = int(session.execute(WAITING).scalars().one())
    return Surroundings(due_seconds(session, now=now), waiting)
