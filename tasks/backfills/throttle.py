"""What a backfill sees of live work, and the pace that follows from it."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.jobs.backlog import due_seconds
from tasks.backfills.pacing import Pace, Surroundings, pace

# Everybody may read pg_locks; what others wait for in pg_stat_activity is hidden from a worker's role.
WAITING = text("""
    SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database()
""")


def surroundings(session: Session, *, now: datetime, batch_seconds: float | None) -> Surroundings:
    """Look around: as `ledgerbeat_oldest_due_seconds` does, and at the sessions that wait for a lock.

    Best at the end of a batch's transaction: who waits for its locks is seen, too.
    """
    waiting = int(session.execute(WAITING).scalar_one())
    return Surroundings(due_seconds(session, now=now), waiting, batch_seconds)


def throttled(
    session: Session, *, rows: int, rows_max: int, batch_seconds: float | None, now: datetime
) -> Pace:
    """The pace after a batch of at most `rows`, in a run whose batches may have `rows_max`."""
    return pace(surroundings(session, now=now, batch_seconds=batch_seconds), rows=rows, rows_max=rows_max)
