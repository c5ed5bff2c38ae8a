"""Tell the workers of work that a command has queued. The sweep would find it anyway, a second later."""

from collections.abc import Collection
from functools import partial

from celery import Celery

from ops.cli.quiet import quiet_logs
from worker.celery import configuration_of, publish_drain
from worker.locks import Nudger
from worker.settings import Settings


def nudge(settings: Settings, tenants: Collection[str]) -> None:
    """Nudge these lanes where Redis is configured. Never raises, and gives up within about a second."""
    if settings.redis_url is None or not tenants:
        return
    app = Celery("ledgerbeat.operator", set_as_current=False)
    app.add_defaults(partial(configuration_of, settings.require_broker_url()))
    nudger = Nudger(settings.redis_url, partial(publish_drain, through=app))
    try:
        with quiet_logs():
            nudger.nudge(sorted(tenants))
    finally:
        nudger.close()
        app.close()
