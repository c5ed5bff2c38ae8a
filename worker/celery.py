"""The Celery app: `celery -A worker worker`, `... beat`, `... flower`.

Messages are nudges, acknowledged early: losing one costs a sweep. Only `jobs.accept`, the Celery door, carries work;
it is acknowledged after its row has committed. Nothing is read or connected when this module is imported.
"""

import logging
from datetime import date
from typing import Any
from uuid import UUID

import click
import structlog
from celery import Celery, signals
from kombu import Queue

from worker.collecting import collect_seldom
from worker.schedule import BEAT_SCHEDULE
from worker.settings import SettingsError, load_settings
from worker.telemetry import configure_logging

FAMILIES = (
    "tasks.intake.tasks",
    "tasks.schedules.tasks",
    "tasks.notifications.tasks",
    "tasks.payouts.tasks",
    "tasks.reconciliation.tasks",
    "tasks.backfills.tasks",
)
INTAKE_QUEUE = "intake"
NOTIFICATIONS_QUEUE = "notifications"
PAYOUTS_QUEUE = "payouts"
RECONCILIATION_QUEUE = "reconciliation"
BACKFILLS_QUEUE = "backfills"
DOOR_QUEUE = "celery"
"""Celery's own default, so that a plain Celery client reaches `jobs.accept` without configuration."""
QUEUES = (
    INTAKE_QUEUE, DOOR_QUEUE, NOTIFICATIONS_QUEUE, PAYOUTS_QUEUE, RECONCILIATION_QUEUE, BACKFILLS_QUEUE,
)  # fmt: skip
NETWORK_QUEUES = (PAYOUTS_QUEUE, NOTIFICATIONS_QUEUE)

PUBLISH_SECONDS = 0.5
NUDGE_EXPIRES_SECONDS = 60
PAYOUT_EXPIRES_SECONDS = 15
NIGHT_EXPIRES_SECONDS = 300
BATCH_EXPIRES_SECONDS = 15
CONCURRENCY = 8
NETWORK_CONCURRENCY = 24
"""Of the worker whose tasks wait for other people's servers: 16 payouts, and the turns of the notifications."""
NIGHTS_CONCURRENCY = 2
"""Of the worker that reconciles: a night is minutes of one processor, and drains shall not share theirs with it."""
BACKFILLS_CONCURRENCY = 2
"""Of the worker that brings history in: what is live shall not wait behind its batches."""
SOFT_SHUTDOWN_SECONDS = 30

REDIS_OPTIONS = {
    "socket_connect_timeout": PUBLISH_SECONDS,
    "socket_timeout": PUBLISH_SECONDS,
    "visibility_timeout": 60,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}
AMQP_OPTIONS = {"confirm_publish": True}


def configuration() -> dict[str, Any]:
    """Celery's settings, read from ours when the app is first used."""
    return configuration_of(_broker_url())


def configuration_of(broker_url: str) -> dict[str, Any]:
    """Celery's settings with this broker; for an operator's command, which knows it from elsewhere."""
    amqp = broker_url.startswith("amqp")
    return {
        "broker_url": broker_url,
        "broker_transport_options": AMQP_OPTIONS if amqp else REDIS_OPTIONS,
        "broker_connection_timeout": 2 * PUBLISH_SECONDS,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_publish_retry_policy": {"max_retries": 0},
        "task_queues": [_queue(name, amqp) for name in QUEUES],
        "task_default_queue": DOOR_QUEUE,
        "task_routes": {
            "intake.*": {"queue": INTAKE_QUEUE},
            "schedules.*": {"queue": INTAKE_QUEUE},
            "notifications.dispatch": {"queue": INTAKE_QUEUE},
            "notifications.*": {"queue": NOTIFICATIONS_QUEUE},
            "payouts.dispatch": {"queue": INTAKE_QUEUE},
            "payouts.*": {"queue": PAYOUTS_QUEUE},
            "reconciliation.tick": {"queue": INTAKE_QUEUE},
            "reconciliation.*": {"queue": RECONCILIATION_QUEUE},
            "backfills.tick": {"queue": INTAKE_QUEUE},
            "backfills.*": {"queue": BACKFILLS_QUEUE},
        },
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": False,
        "worker_send_task_events": True,
        "worker_pool": "threads",
        "worker_consumer": "worker.consumer:Consumer",
        "worker_concurrency": CONCURRENCY,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_soft_shutdown_timeout": SOFT_SHUTDOWN_SECONDS,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "beat_schedule": BEAT_SCHEDULE,
        "beat_sync_every": 1,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _queue(name: str, amqp: bool) -> Queue:
    """On RabbitMQ a quorum queue, the kind that loses nothing when a node dies."""
    return Queue(name, routing_key=name, queue_arguments={"x-queue-type": "quorum"} if amqp else None)


def _broker_url() -> str:
    """From the settings. On Celery's command line a wrong setting is a sentence, not a traceback."""
    try:
        return load_settings().require_broker_url()
    except SettingsError as error:
        if click.get_current_context(silent=True) is not None:
            raise click.ClickException(str(error)) from None
        raise


app = Celery("ledgerbeat", include=FAMILIES)
app.add_defaults(configuration)


def publish_drain(tenant: str, *, through: Celery = app) -> None:
    """Send the nudge for one lane. Raises when the broker does not take it, within about a second."""
    through.send_task(
        "intake.drain", kwargs={"tenant": tenant}, queue=INTAKE_QUEUE, expires=NUDGE_EXPIRES_SECONDS
    )


def publish_payout(task: str, payout_id: UUID, *, through: Celery = app) -> None:
    """Send `payouts.attempt` or `payouts.resolve` for one payout. Raises as `publish_drain` does.

    It expires with the place that the dispatcher has given: what comes later would find none.
    """
    arguments = {"payout_id": str(payout_id)}
    through.send_task(task, kwargs=arguments, queue=PAYOUTS_QUEUE, expires=PAYOUT_EXPIRES_SECONDS)


def publish_night(tenant: str, provider: str, business_date: date, *, through: Celery = app) -> None:
    """Send `reconciliation.run` for one business date of one account. Raises as `publish_drain` does.

    It expires with the lease of its row, which is then sent again: of each run, one message waits.
    """
    arguments = {"tenant": tenant, "provider": provider, "business_date": business_date.isoformat()}
    through.send_task(
        "reconciliation.run", kwargs=arguments, queue=RECONCILIATION_QUEUE, expires=NIGHT_EXPIRES_SECONDS
    )


def publish_batch(backfill_id: UUID, turn: int, progress: str, *, through: Celery = app) -> None:
    """Send `backfills.batch` for the next batch of a run. Raises as `publish_drain` does.

    It expires with the turn that it brings. Flower shows `progress`, numbers only, where it shows the arguments: first,
    since its list of tasks shows 50 characters.
    """
    through.send_task(
        "backfills.batch",
        kwargs={"backfill_id": str(backfill_id), "turn": turn},
        kwargsrepr=f"{progress}; backfill {backfill_id}",
        queue=BACKFILLS_QUEUE,
        expires=BATCH_EXPIRES_SECONDS,
    )


@signals.setup_logging.connect
def _log_our_way(loglevel: int | None = None, **_: object) -> None:
    configure_logging(load_settings().log_format, loglevel or logging.INFO)


@signals.worker_ready.connect
def _collect_seldom(**_: object) -> None:
    """A look at all that is alive costs some 65 ms once everything is imported: more than most batches."""
    collect_seldom()


@signals.task_prerun.connect
def _bind(task_id: str, task: Any, **_: object) -> None:
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)


@signals.task_postrun.connect
def _unbind(**_: object) -> None:
    structlog.contextvars.clear_contextvars()
