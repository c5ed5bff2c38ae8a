"""Bounds on what a request may cost: its rate, its size, its time."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from worker.http.doors import COMPLETE, Incoming
from worker.http.problems import Refusal, rate_limited
from worker.settings import TenantSettings

BODY_BYTES_MAX = 256 * 1024
"""Of a job."""
WEBHOOK_BYTES_MAX = 1024 * 1024
"""Providers send what they have: objects with all their parts, a hundred items at once."""
BODY_SECONDS_MAX = 10.0
BURST_SECONDS = 2.0

Clock = Callable[[], float]


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimit:
    """A token bucket per tenant, in this process: `rate_limit_per_second`, with a burst of twice that."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, tenant: TenantSettings) -> None:
        """One request of this tenant. Raises Refusal(rate_limited) with Retry-After."""
        rate, now = tenant.rate_limit_per_second, self._clock()
        most = max(1.0, rate * BURST_SECONDS)
        bucket = self._buckets.setdefault(tenant.name, _Bucket(most, now))
        bucket.tokens = min(most, bucket.tokens + (now - bucket.filled_at) * rate)
        bucket.filled_at = now
        if bucket.tokens < 1.0:
            raise rate_limited(max(1, math.ceil((1.0 - bucket.tokens) / rate)))
        bucket.tokens -= 1.0


def check_announced_length(request: Incoming, bytes_max: int) -> None:
    """Refuses by Content-Length, before a byte is read. Raises Refusal(body_too_large)."""
    announced = request.headers.get("content-length", "0")
    if not announced.isascii() or not announced.isdigit() or int(announced[:20]) > bytes_max:
        raise _too_large(bytes_max)


async def read_body(request: Incoming, bytes_max: int) -> bytes:
    """The body, read with a limit on bytes and time. Raises Refusal(body_too_large, request_timeout)."""
    if request.scope.get(COMPLETE):
        return await _read(request, bytes_max)
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await _read(request, bytes_max)
    except TimeoutError:
        raise Refusal("request_timeout", f"The body did not arrive within {BODY_SECONDS_MAX:g} s.") from None


async def _read(request: Incoming, bytes_max: int) -> bytes:
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Refusal("request_timeout", "The connection was closed before the body was complete.")
        body += message.get("body", b"")
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
        if not message.get("more_body", False):
            return bytes(body)


def _too_large(bytes_max: int) -> Refusal:
    return Refusal("body_too_large", f"A body of at most {bytes_max} bytes is expected.")
