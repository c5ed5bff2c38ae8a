"""How runs end and pause; each in the caller's transaction, with the run's row held."""

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from models.backfills.quarantine import give_up_waiting
from models.backfills.runs import Run, finish_run, known_run, pause_run, write_off_waiting
from models.ledger.rehearsing import forget_rehearsal

log = structlog.get_logger("ledgerbeat.backfills")


def stop(session: Session, run: Run, *, now: datetime) -> Run:
    """Do what was asked for: pause, or cancel."""
    return (
        end(session, run, "cancelled", now=now) if run.stop_asked == "cancel" else halt(session, run, "asked")
    )


def halt(session: Session, run: Run, code: str, error: str | None = None) -> Run:
    """Pause it until somebody resumes it."""
    pause_run(session, run, code, error)
    return _told(session, run)


def end(session: Session, run: Run, state: str, *, now: datetime, error: str | None = None) -> Run:
    """`done` or `cancelled`: what waits stays set aside, and what a dry run has worked out is forgotten. `error`: why
    it is cancelled though nobody asked."""
    write_off_waiting(session, run, give_up_waiting(session, run.id))
    if run.dry_run:
        forget_rehearsal(session, run.id)
    finish_run(session, run, state, now=now, error=error)
    return _told(session, run)


def _told(session: Session, run: Run) -> Run:
    ended = known_run(session, run.id)
    log.info(
        "backfill.stopped",
        backfill_id=str(run.id),
        tenant=run.tenant,
        state=ended.state,
        pause_code=ended.pause_code,
        rows_read=ended.rows_read,
        posted=ended.posted,
        replayed=ended.replayed,
        quarantined=ended.quarantined,
        dry_run=run.dry_run,
    )
    return ended
