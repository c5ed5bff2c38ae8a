"""Requests that arrive together share one commit, but not one fate.

Requests wait in a bounded queue. A few threads take what is there, up to BATCH_MAX, and write it in one transaction:
alone when it is quiet, many at once under load, with no timer in between. When the shared transaction fails, each
tenant's share is written in one of its own, and where that fails too each request, so a bad one fails alone. What a
tenant's failures take of a batch's time is bounded: its bad requests may delay its own good ones, not everyone's. When
the database cannot be reached, all that wait are told at once. An answer is given only after the commit.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from worker.http.recording import Recorded, Submission
from worker.telemetry import describe_error

BATCH_MAX = 100
QUEUE_MAX = 2_000
THREADS = 2
WAIT_SECONDS_MAX = 8.0
FAILING_SECONDS_MAX = 1.5
"""What one tenant's failures may take in one batch: one wait for a lock (writing.LOCK_TIMEOUT) and more, not two."""

log = structlog.get_logger("ledgerbeat.http")

Writer = Callable[[Sequence[Submission], datetime], list[Recorded]]
"""Writes the submissions in one transaction and commits it. Raises Unreachable, or whatever kept it from it."""


class NotRecorded(Exception):
    """The database did not confirm: nothing was recorded, or the same request again finds what was."""


class Unreachable(Exception):
    """No connection to the database can be had."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """One request that waits for its answer. `given_up`: nobody listens any more, do not write it."""

    submission: Submission
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Recorded]"
    given_up: bool = field(default=False)


_Outcome = Recorded | NotRecorded


class Batcher:
    """The queue, its threads, and the writer that they call."""

    def __init__(
        self,
        write: Writer,
        *,
        committed: Callable[[Sequence[Submission]], None],
        threads: int = THREADS,
        queue_max: int = QUEUE_MAX,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._write = write
        self._committed = committed
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(queue_max)
        self._wait_seconds_max = wait_seconds_max
        # Daemons: a database that is frozen must not keep the process alive.
        self._threads = [
            threading.Thread(target=self._work, name=f"intake-{n}", daemon=True) for n in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, within_seconds: float = 10.0) -> None:
        """Write what waits, then end the threads; those that hang are left behind."""
        deadline = time.monotonic() + within_seconds
        for _ in self._threads:
            with suppress(queue.Full):
                self._queue.put(None, timeout=max(0.0, deadline - time.monotonic()))
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def waiting(self) -> int:
        """How many requests wait to be written."""
        return self._queue.qsize()

    async def submit(self, submission: Submission) -> Recorded:
        """Recorded and committed. Raises NotRecorded: queue full, too long a wait, or the database said no."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(submission, loop, loop.create_future())
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            raise NotRecorded("the queue is full") from None
        try:
            async with asyncio.timeout(self._wait_seconds_max):
                return await waiting.answer
        except TimeoutError:
            raise NotRecorded("no answer in time") from None
        finally:
            waiting.given_up = True

    def _work(self) -> None:
        more = True
        while more:
            batch, more = self._take()
            if batch:
                self._perform(batch)

    def _take(self) -> tuple[list[_Waiting], bool]:
        """What waits, up to BATCH_MAX; False when this thread is to end after it."""
        batch: list[_Waiting] = []
        entry = self._queue.get()
        while entry is not None:
            if not entry.given_up:
                batch.append(entry)
            if len(batch) >= BATCH_MAX:
                return batch, True
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _perform(self, batch: list[_Waiting]) -> None:
        try:
            self._write_together(batch)
        except Unreachable:
            batch += self._take_all()
            log.warning("http.intake.unreachable", waiting=len(batch))
            _answer([(waiting, NotRecorded("the database cannot be reached")) for waiting in batch])

    def _write_together(self, batch: list[_Waiting]) -> None:
        if not self._written(batch):
            shares = _by_tenant(batch)
            failed = [share for share in shares if len(shares) == 1 or not self._written(share)]
            for share in failed:
                self._write_one_by_one(share)

    def _write_one_by_one(self, share: list[_Waiting]) -> None:
        failing_seconds = 0.0
        for waiting in share:
            if waiting.given_up:
                continue
            started_at = time.monotonic()
            if failing_seconds >= FAILING_SECONDS_MAX or not self._written([waiting]):
                failing_seconds += time.monotonic() - started_at
                _answer([(waiting, NotRecorded("the database refused the request"))])

    def _written(self, batch: list[_Waiting]) -> bool:
        """Write these in one transaction and answer them. False when it failed, and nobody was answered."""
        try:
            recorded = self._write([waiting.submission for waiting in batch], datetime.now(UTC))
        except Unreachable:
            raise
        except Exception as error:  # noqa: BLE001 - this thread must live, and each request must be answered
            log.warning("http.intake.batch_failed", requests=len(batch), error=describe_error(error))
            return False
        self._done(list(zip(batch, recorded, strict=True)))
        return True

    def _done(self, written: Sequence[tuple[_Waiting, Recorded]]) -> None:
        _answer(written)
        self._committed([waiting.submission for waiting, _ in written])

    def _take_all(self) -> list[_Waiting]:
        """All that wait at this moment, and no more: who comes later tries anew."""
        taken: list[_Waiting] = []
        for _ in range(self._queue.qsize()):
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                break
            if entry is None:
                self._queue.put(None)
            else:
                taken.append(entry)
        return taken


def _by_tenant(batch: Sequence[_Waiting]) -> list[list[_Waiting]]:
    shares: dict[str, list[_Waiting]] = {}
    for waiting in batch:
        shares.setdefault(waiting.submission.tenant, []).append(waiting)
    return list(shares.values())


def _answer(outcomes: Sequence[tuple[_Waiting, _Outcome]]) -> None:
    """Hand each waiter its outcome, with one wake-up per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, _Outcome]]] = {}
    for waiting, outcome in outcomes:
        by_loop.setdefault(waiting.loop, []).append((waiting, outcome))
    for loop, theirs in by_loop.items():
        with suppress(RuntimeError):  # the loop has ended, and nobody listens
            loop.call_soon_threadsafe(_resolve, theirs)


def _resolve(outcomes: Sequence[tuple[_Waiting, _Outcome]]) -> None:
    for waiting, outcome in outcomes:
        if waiting.answer.done():
            continue
        if isinstance(outcome, NotRecorded):
            waiting.answer.set_exception(outcome)
        else:
            waiting.answer.set_result(outcome)
