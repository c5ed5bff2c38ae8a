"""Celery's view of the intake: nudged drains, the sweep, and the door for apps that speak Celery."""

from datetime import UTC, datetime
from functools import partial

from celery.exceptions import Reject

from tasks.intake.door import NotAccepted, submit, submit_patiently
from tasks.intake.routing import ROUTING
from tasks.intake.service import drain, sweep
from worker.celery import app
from worker.resources import current
from worker.telemetry import TaskFailed, reported


def utc_now() -> datetime:
    """The clock of this process, handed to the services."""
    return datetime.now(UTC)


@app.task(name="intake.drain", throws=(TaskFailed,))
def drain_lane(tenant: str) -> None:
    """Give the lane its turn; nudge it again when work is left, behind the lanes that wait."""
    resources = current()
    with reported("intake.drain.failed", tenant=tenant):
        resources.nudger.started(tenant)
        if drain(resources.transaction, tenant, routing=ROUTING, clock=utc_now).more:
            resources.nudger.nudge([tenant])


@app.task(name="intake.sweep", throws=(TaskFailed,), send_events=False)
def sweep_lanes() -> None:
    """Wake what is due and nudge every lane that has work: finds whatever no nudge has told of."""
    resources = current()
    with reported("intake.sweep.failed"):
        resources.nudger.nudge(sweep(resources.transaction, now=utc_now()))


@app.task(
    name="jobs.accept",
    acks_late=True,
    reject_on_worker_lost=True,
    throws=(NotAccepted,),
    Request="worker.requests:DoorRequest",
)
def accept_job(tenant: object, name: object, idempotency_key: object, args: object) -> None:
    """The Celery door. The message is acknowledged when its job is committed, or refused for good."""
    resources = current()
    request = partial(
        submit, resources.transaction, tenant=tenant, name=name, key=idempotency_key, args=args, now=utc_now()
    )
    if submit_patiently(request) is None:
        raise Reject("the database does not take jobs at the moment", requeue=True)
    resources.nudger.nudge([str(tenant)])
