"""Celery's view of reconciliation: the tick, and one message per night that is due."""

from datetime import date

from tasks.reconciliation.hands import Hands
from tasks.reconciliation.nightly import reports_folder, run_due
from tasks.reconciliation.scheduling import tick
from worker.celery import app, publish_night
from worker.resources import current
from worker.telemetry import TaskFailed, reported


def hands() -> Hands:
    """Of this process."""
    resources = current()
    settings = resources.settings
    return Hands(resources.transaction, settings.tenants, reports_folder(settings.home))


@app.task(name="reconciliation.run", throws=(TaskFailed,))
def run_night(tenant: str, provider: str, business_date: str) -> None:
    """Reconcile one business date of one account, if it is still to be done."""
    with reported("reconciliation.run.failed", tenant=tenant, provider=provider, business_date=business_date):
        night = date.fromisoformat(business_date)
        run_due(hands(), current().night_locks, tenant, provider, night)


@app.task(name="reconciliation.tick", throws=(TaskFailed,), send_events=False)
def tick_nights() -> None:
    """Make the nights that are due, and send a message for each that waits."""
    with reported("reconciliation.tick.failed"):
        tick(hands(), publish_night)
