"""Celery's consumer, which does not grow tired of a broker that is away.

Celery waits 2 s longer after each try, up to 30 s; no setting bounds it. Jobs wait in PostgreSQL meanwhile, so what a
worker sleeps after Redis is back is all that anybody notices of the outage.
"""

from functools import partial

from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Connection

RECONNECT_SECONDS = 1
RECONNECT_SECONDS_MAX = 2


class Consumer(CeleryConsumer):
    """Chosen by the setting `worker_consumer`."""

    def ensure_connected(self, conn: Connection) -> Connection:
        """The connection, once the broker takes it: a try after 1 s, then every 2 s."""
        patiently = partial(
            conn.ensure_connection,
            interval_start=RECONNECT_SECONDS,
            interval_step=RECONNECT_SECONDS,
            interval_max=RECONNECT_SECONDS_MAX,
        )
        vars(conn).update(ensure_connection=patiently)  # this connection's alone: Celery hands over no bounds
        return super().ensure_connected(conn)
