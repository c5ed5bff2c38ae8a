"""Celery's view of the outbox: a tick that says whose turn it is, and one task per turn."""

from datetime import UTC, datetime

from tasks.notifications.service import deliver, dispatch
from worker.celery import app
from worker.notifying import endpoints
from worker.resources import current
from worker.telemetry import TaskFailed, reported

EXPIRES_SECONDS = 40


def utc_now() -> datetime:
    """The clock of this process, handed to the services."""
    return datetime.now(UTC)


@app.task(name="notifications.dispatch", throws=(TaskFailed,), send_events=False)
def dispatch_turns() -> None:
    """Send for every tenant whose notifications are due."""
    resources = current()
    with reported("notifications.dispatch.failed"):
        for tenant in dispatch(resources.transaction, endpoints(resources.settings), now=utc_now()):
            app.send_task("notifications.deliver", kwargs={"tenant": tenant}, expires=EXPIRES_SECONDS)


@app.task(name="notifications.deliver", throws=(TaskFailed,))
def deliver_turn(tenant: str) -> None:
    """Give the tenant's lane its turn. A tenant that is no longer told has none."""
    resources = current()
    with reported("notifications.deliver.failed", tenant=tenant):
        if endpoint := endpoints(resources.settings).get(tenant):
            deliver(resources.transaction, tenant, endpoint, clock=utc_now)
