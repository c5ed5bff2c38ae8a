"""Whose a run is: a claim lets one process at a time work on it, for one batch.

A batch shows the claim that it was given and locks the row: one whose time ran out, and whose run was taken over, finds
out before it has written anything.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.backfills.runs import Run, run_if_any, run_of
from models.base import require_aware
from models.changing import changed
from models.errors import LedgerbeatError


class RunClaimLost(LedgerbeatError):
    """Another process has the run, or it was stopped, meanwhile; nothing may be committed."""


# Whoever gets it works on it; a run that is stopped, waits, or is somebody's gives no row.
CLAIM = text("""
    UPDATE backfills SET claim_version = claim_version + 1, claimed_until = :until, state = 'running',
        started_at = coalesce(started_at, :now), last_error = NULL
    WHERE id = :id AND state IN ('pending', 'running') AND next_batch_at <= :now
        AND (claimed_until IS NULL OR claimed_until <= :now OR claim_version = :turn)
    RETURNING *
""")

# A turn is a claim that whoever gets its message may take over; who held the run before has lost it.
GIVE_TURNS = text("""
    UPDATE backfills SET claim_version = claim_version + 1, claimed_until = :until
    WHERE id IN (
        SELECT id FROM backfills
        WHERE state IN ('pending', 'running') AND next_batch_at <= :now
            AND (claimed_until IS NULL OR claimed_until <= :now)
        ORDER BY next_batch_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING *
""")

RENEW = text("""
    UPDATE backfills SET claimed_until = :until WHERE id = :id AND claim_version = :version AND state = 'running'
""")

HOLD = text("""
    SELECT * FROM backfills WHERE id = :id AND claim_version = :version AND state = 'running' FOR UPDATE
""")

# Live work goes first: nobody has the run until then.
POSTPONE = text("""
    UPDATE backfills SET next_batch_at = :until, claimed_until = NULL
    WHERE id = :id AND claim_version = :version AND state = 'running'
""")


def give_turns(session: Session, *, seconds: float, limit: int, now: datetime) -> list[Run]:
    """The runs that somebody should work on and nobody does, the longest waiting first; each with a turn, its
    `claim_version`, which is held for the one who brings it for so many seconds."""
    values = {"now": require_aware(now), "until": now + timedelta(seconds=seconds), "limit": limit}
    return [run_of(row) for row in session.execute(GIVE_TURNS, values).mappings()]


def claim_run(
    session: Session, run_id: UUID, *, seconds: float, now: datetime, turn: int | None = None
) -> Run | None:
    """Take the run for so many seconds; None when it is somebody's, not due, or stopped. `turn`: what the one before
    has handed over."""
    until = require_aware(now) + timedelta(seconds=seconds)
    values = {"id": run_id, "now": now, "until": until, "turn": turn}
    return run_if_any(session.execute(CLAIM, values).mappings().one_or_none())


def renew_claim(session: Session, run: Run, *, seconds: float, now: datetime) -> bool:
    """Keep the run for so many seconds from now. False when it is not ours any more."""
    values = {"id": run.id, "version": run.claim_version, "until": now + timedelta(seconds=seconds)}
    return changed(session, RENEW, values) == 1


def hold_run(session: Session, run: Run) -> Run:
    """Lock the row of a claimed run until this transaction ends; as it is now. Raises RunClaimLost."""
    row = session.execute(HOLD, {"id": run.id, "version": run.claim_version}).mappings().one_or_none()
    held = run_if_any(row)
    if held is None or (held.phase, held.cursor) != (run.phase, run.cursor):
        raise RunClaimLost(f"backfill {run.id}: another process works on it, or it was stopped")
    return held


def postpone_run(session: Session, run: Run, *, until: datetime) -> None:
    """Leave a claimed run alone until then."""
    session.execute(POSTPONE, {"id": run.id, "version": run.claim_version, "until": until})
