"""Webhooks: signed as Standard Webhooks, sent side by side by a bounded pool, retried, lost or late on order.

Events of one object are sent one after the other, each after the first try of the one before. Copies of one
event go out together.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any

from ops.sandbox.config import SandboxConfig, signing_key
from ops.sandbox.faults import Fault
from ops.sandbox.sender import Reply, Sender, SendError
from ops.sandbox.state import Event

RETRY_AFTER_SECONDS_MAX = 30.0


def sign(secret: str, webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of https://www.standardwebhooks.com: base64 of HMAC-SHA256 over `id.timestamp.body`."""
    timestamp = str(int(at.timestamp()))
    signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
    digest = base64.b64encode(hmac.digest(signing_key(secret), signed, hashlib.sha256)).decode()
    return {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{digest}"}


class Courier:
    """Takes events to the endpoint. `settings` is asked anew for each send, `clock` dates the signature."""

    def __init__(self, settings: Callable[[], SandboxConfig], clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._slots = asyncio.Semaphore(settings().concurrency)
        self._sender = Sender(settings().concurrency, settings().delivery_timeout_seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._first_tries: dict[str, asyncio.Event] = {}
        self._held: dict[str, Event] = {}

    @property
    def pending(self) -> int:
        """Webhooks (and settlements) that are still to come."""
        return len(self._tasks) + len(self._held)

    def take(self, event: Event, fault: Fault | None) -> None:
        """Send an event, as its fault demands."""
        name = fault.name if fault else None
        if self._settings().webhook_url is None:
            event.state = "unsent"
        elif name == "webhook_lost":
            event.state = "lost"
        elif name == "webhook_reordered" and event.object_id not in self._held:
            event.state = "held"
            self._held[event.object_id] = event
        else:
            number = fault.number if fault else 0.0
            copies = 1 + int(number) if name == "webhook_duplicate" else 1
            self.send(event, copies, number if name == "webhook_late" else 0.0)
            self._release(event.object_id)

    def send(self, event: Event, copies: int = 1, delay_seconds: float = 0.0) -> None:
        """Send `copies` of an event after a delay, each retried on its own."""
        event.state = "pending"
        event.copies_pending += copies
        before = self._first_tries.get(event.object_id) if delay_seconds == 0 else None
        tried = asyncio.Event()
        if delay_seconds == 0:
            self._first_tries[event.object_id] = tried
        for _ in range(copies):
            self.spawn(self._deliver(event, before, tried, delay_seconds))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that counts as pending until it is over."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def idle(self, timeout_seconds: float) -> bool:
        """Wait until nothing is pending, at most so long; say whether it is so. What is held is sent first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self.pending:
                    self._release_all()
                    await asyncio.wait(self._tasks)
        return self.pending == 0

    async def close(self) -> None:
        """Stop sending. What was not sent stays `pending`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sender.close()

    def _release_all(self) -> None:
        for object_id in list(self._held):
            self._release(object_id)

    def _release(self, object_id: str) -> None:
        held = self._held.pop(object_id, None)
        if held is not None:
            self.send(held)

    async def _deliver(
        self, event: Event, before: asyncio.Event | None, tried: asyncio.Event, delay_seconds: float
    ) -> None:
        try:
            await asyncio.sleep(delay_seconds)
            if before is not None:
                await before.wait()
            delivered = await self._try_all(event, tried)
        finally:
            self._first_try_over(event.object_id, tried)
        event.copies_pending -= 1
        event.copies_delivered += delivered
        if event.copies_pending == 0:
            event.state = "delivered" if event.copies_delivered else "failed"

    async def _try_all(self, event: Event, tried: asyncio.Event) -> bool:
        for backoff in (*self._settings().retry_seconds, None):
            async with self._slots:
                wait = await self._try(event)
            self._first_try_over(event.object_id, tried)
            if wait is None:
                return True
            if backoff is not None:
                await asyncio.sleep(max(backoff, wait))
        return False

    def _first_try_over(self, object_id: str, tried: asyncio.Event) -> None:
        tried.set()
        if self._first_tries.get(object_id) is tried:
            del self._first_tries[object_id]

    async def _try(self, event: Event) -> float | None:
        """Send once: None when it was taken, else the seconds the receiver asked us to wait."""
        event.tries += 1
        event.last_status, event.last_error = None, None
        try:
            reply = await self._post(event)
        except SendError as exc:
            event.last_error = str(exc)
            return 0.0
        event.last_status = reply.status
        return None if 200 <= reply.status < 300 else _retry_after(reply)

    async def _post(self, event: Event) -> Reply:
        settings = self._settings()
        body = event.body()
        headers = sign(settings.webhook_secret or "", event.id, self._clock(), body)
        headers["content-type"] = "application/json"
        return await self._sender.post(settings.webhook_url or "", body, headers)


def _retry_after(reply: Reply) -> float:
    text = reply.retry_after
    return min(float(text), RETRY_AFTER_SECONDS_MAX) if text.isascii() and text.isdigit() else 0.0
