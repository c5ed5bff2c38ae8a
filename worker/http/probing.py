"""Questions to slow things, asked once at a time and answered in time."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Probe(Generic[Answer]):
    """Runs `ask` in a thread, at most one at a time, and keeps its answer for `fresh_seconds`.

    However many want to know and however long `ask` hangs, it costs one thread, and no one waits past the timeout.
    """

    def __init__(self, ask: Callable[[], Answer], *, fresh_seconds: float) -> None:
        self._ask = ask
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._current: Future[Answer] | None = None
        self._asked_at = 0.0

    def get(self, timeout_seconds: float) -> Answer:
        """The answer. Raises TimeoutError, or what `ask` raised."""
        return self._question().result(timeout_seconds)

    async def aget(self, timeout_seconds: float) -> Answer:
        """The same for coroutines."""
        answer = asyncio.wrap_future(self._question())
        answer.add_done_callback(_take_note)  # also when everyone has stopped waiting
        async with asyncio.timeout(timeout_seconds):
            return await asyncio.shield(answer)

    def _question(self) -> "Future[Answer]":
        with self._lock:
            current, now = self._current, time.monotonic()
            if current is None or (current.done() and now - self._asked_at > self._fresh_seconds):
                current = self._current = Future()
                self._asked_at = now
                threading.Thread(target=self._answer, args=(current,), daemon=True, name="probe").start()
            return current

    def _answer(self, future: "Future[Answer]") -> None:
        try:
            future.set_result(self._ask())
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            future.set_exception(error)


def _take_note(answer: "asyncio.Future[Answer]") -> None:
    if not answer.cancelled():
        answer.exception()
