"""Celery's consumer, which does not grow tired of a broker that is away, and tells its events in groups.

Celery waits 2 s longer after each try, up to 30 s; no setting bounds it. Jobs wait in PostgreSQL meanwhile, so what a
worker sleeps after Redis is back is all that anybody notices of the outage.

Events are for Flower. Sent one by one they were a seventh of what a worker does for a payout.
"""

import time
from functools import partial
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Connection

RECONNECT_SECONDS = 1
RECONNECT_SECONDS_MAX = 2
EVENTS_SECONDS = 0.25
"""Events wait so long for others, unless there are two dozen of them. Each has the time at which it was noted."""


class Consumer(CeleryConsumer):
    """Chosen by the setting `worker_consumer`."""

    hub: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        self._events_sent_at = 0.0
        self._events_wait = False
        super().__init__(*args, **options)

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

    def _flush_events(self) -> None:
        """Send what events there are: now, or when the last were sent EVENTS_SECONDS ago. In the loop's thread."""
        seconds = self._events_sent_at + EVENTS_SECONDS - time.monotonic()
        if seconds <= 0:
            self._send_events()
        elif not self._events_wait:
            self._events_wait = True
            self.hub.call_later(seconds, self._send_events)

    def _send_events(self) -> None:
        self._events_wait = False
        self._events_sent_at = time.monotonic()
        super()._flush_events()  # type: ignore[misc]
