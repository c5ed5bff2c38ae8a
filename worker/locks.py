"""Nudges and locks: the only uses of Redis beside being Celery's broker. Losing all of it costs seconds, never
work and never money.

A nudge says "this lane has work". While one is under way for a lane, no other is sent: `ledgerbeat:nudge:<tenant>`
stands until the drain starts, or for NUDGE_SECONDS when it never does. So a lost nudge is sent again by the sweep
a few seconds later, and a burst of 10,000 jobs costs a handful of messages.

A lock, `ledgerbeat:payout:<id>`, `ledgerbeat:night:<tenant>:<provider>:<date>` or `ledgerbeat:backfill:<id>`, only
saves doubled work: the claim in PostgreSQL decides. With Redis away, everybody has it.
"""

import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

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
        self._redis = _client(redis_url)

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


# Still ours, or nobody's (expired, or all of Redis lost): ours for another while.
RENEW = """
    local owner = redis.call('GET', KEYS[1])
    if owner and owner ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


@dataclass(frozen=True, slots=True)
class PayoutLock:
    """A lock that was taken, or went without Redis: whether it is still held is asked with `renew`."""

    client: redis.Redis
    key: str
    token: str
    milliseconds: int

    def renew(self) -> bool:
        """Hold it for its whole time again. False when somebody else has it meanwhile. Never raises."""
        try:
            return bool(self.client.eval(RENEW, 1, self.key, self.token, self.milliseconds))
        except redis.RedisError as error:
            log.warning("payout_lock.not_renewed", error=type(error).__name__)
            return True

    def release(self) -> None:
        """Let go of it, if it is still ours. Never raises."""
        try:
            self.client.eval(RELEASE, 1, self.key, self.token)
        except redis.RedisError as error:
            log.warning("payout_lock.not_released", error=type(error).__name__)


class Locks:
    """Locks of one kind of thing, each with a token of its own. Safe for threads; connects when first used."""

    def __init__(self, redis_url: str, kind: str) -> None:
        self._redis = _client(redis_url)
        self._kind = kind

    @contextmanager
    def held(self, name: UUID | str, seconds: float) -> Iterator[PayoutLock | None]:
        """The lock for at most so many seconds; None when somebody else has it. Never raises, never waits long."""
        lock = PayoutLock(
            self._redis, f"ledgerbeat:{self._kind}:{name}", secrets.token_hex(8), int(seconds * 1000)
        )
        if not lock.renew():
            yield None
            return
        try:
            yield lock
        finally:
            lock.release()

    def close(self) -> None:
        self._redis.close()


class PayoutLocks(Locks):
    """Locks of payouts, by their ids."""

    def __init__(self, redis_url: str) -> None:
        super().__init__(redis_url, "payout")


class NightLocks(Locks):
    """Locks of reconciliation runs, `<tenant>:<provider>:<date>`."""

    def __init__(self, redis_url: str) -> None:
        super().__init__(redis_url, "night")


class BackfillLocks(Locks):
    """Locks of backfills, by the ids of their runs."""

    def __init__(self, redis_url: str) -> None:
        super().__init__(redis_url, "backfill")


def _client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(
        redis_url,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
    )


def _key(tenant: str) -> str:
    return f"ledgerbeat:nudge:{tenant}"
