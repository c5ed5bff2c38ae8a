"""Celery's view of backfills: the tick, and one message for each batch."""

from uuid import UUID

from tasks.backfills.ahead import ReadAhead
from tasks.backfills.hands import Hands
from tasks.backfills.service import tick, work
from tasks.backfills.throttle import throttle, waiters
from worker.celery import app, publish_batch
from worker.resources import current
from worker.telemetry import TaskFailed, reported

AHEAD = ReadAhead()


def hands() -> Hands:
    """Of this process."""
    resources = current()
    return Hands(
        resources.transaction,
        resources.settings.tenants,
        resources.backfill_locks,
        publish=publish_batch,
        pace=throttle,
        waiters=waiters,
        ahead=AHEAD,
    )


@app.task(name="backfills.batch", throws=(TaskFailed,))
def do_batch(backfill_id: str, turn: int | None = None) -> None:
    """Do the next batch of a run, and send the message for the one after it."""
    with reported("backfills.batch.failed", backfill_id=backfill_id):
        work(hands(), UUID(backfill_id), turn)


@app.task(name="backfills.tick", throws=(TaskFailed,), send_events=False)
def tick_backfills() -> None:
    """Send a message for each run that is due and that nobody has."""
    with reported("backfills.tick.failed"):
        tick(hands())
