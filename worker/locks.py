"""Nudges: the only use of Redis beside being Celery's broker. Losing all of it costs seconds, never work.

A nudge says "this lane has work". While one is under way for a lane, no other is sent: `ledgerbeat:nudge:<tenant>`
stands until the drain starts, or for NUDGE_SECONDS when it never does. So a lost nudge is sent again by the sweep
a few seconds later, and a burst of 10,000 jobs costs a handful of messages.
"""

from collections.abc import Callable, Collection

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

NUDGE_SECONDS = 5
TIMEOUT_SECONDS = 0.3

log = structlog.get_logger("ledgerbeat.nudges")


class Nudger:
    """Sends nudges, at most one under way per lane. Safe for threads; connects when first used."""

    def __init__(self, redis_url: str, publish: Callable[[str], object]) -> None:
        """`publish` sends the message for one tenant; it may raise, and must be bounded in time."""
        self._publish = publish
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
        )

    def nudge(self, tenants: Collection[str]) -> list[str]:
        """Nudge these lanes, in this order; the ones that a message was sent for.

        Never raises, and gives up within about a second. A lane that is left out has a nudge under way, or is found
        by the next sweep.
        """
        sent: list[str] = []
        try:
            for tenant in self._unannounced(list(tenants)):
                self._send(tenant)
                sent.append(tenant)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sweep does it again
            log.warning("nudge.failed", error=type(error).__name__, tenants=len(tenants), sent=len(sent))
        return sent

    def started(self, tenant: str) -> None:
        """The lane is being drained: what is accepted from now on needs a nudge of its own. Never raises."""
        try:
            self._redis.delete(_key(tenant))
        except redis.RedisError as error:
            log.warning("nudge.not_cleared", error=type(error).__name__, tenant=tenant)

    def close(self) -> None:
        self._redis.close()

    def _unannounced(self, tenants: Collection[str]) -> list[str]:
        """Announce all in one round trip; those that were not announced before."""
        if not tenants:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        for tenant in tenants:
            pipeline.set(_key(tenant), 1, nx=True, ex=NUDGE_SECONDS)
        return [tenant for tenant, new in zip(tenants, pipeline.execute(), strict=True) if new]

    def _send(self, tenant: str) -> None:
        try:
            self._publish(tenant)
        except BaseException:
            self.started(tenant)
            raise


def _key(tenant: str) -> str:
    return f"ledgerbeat:nudge:{tenant}"
