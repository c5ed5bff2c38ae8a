"""Celery's view of the schedules: Beat ticks, the slots in PostgreSQL decide."""

from datetime import UTC, datetime

from tasks.schedules.service import tick
from worker.celery import app
from worker.resources import current
from worker.telemetry import TaskFailed, reported


def utc_now() -> datetime:
    """The clock of this process, handed to the service."""
    return datetime.now(UTC)


@app.task(name="schedules.tick", throws=(TaskFailed,), send_events=False)
def tick_schedules() -> None:
    """Run every slot that is due and that nobody has run."""
    with reported("schedules.tick.failed"):
        tick(current().transaction, clock=utc_now)
