"""Requests that arrive together share one commit, but not one fate.

Requests wait in a bounded queue. A few writers, tasks of the event loop, take what is there, up to BATCH_MAX, and
write it in one transaction: alone when it is quiet, many at once under load, with no timer in between. When the shared
transaction fails, each tenant's share is written in one of its own, and where that fails too each request, so a bad
one fails alone. What a tenant's failures take of a batch's time is bounded: its bad requests may delay its own good
ones, not everyone's. When the database cannot be reached, all that wait are told at once. An answer is given only
after the commit.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from worker.http.recording import Recorded, Submission
from worker.telemetry import describe_error

BATCH_MAX = 100
BATCH_BYTES_MAX = 4 * 1024 * 1024
"""Of webhooks' bodies in one transaction: each is copied a few times on its way."""
QUEUE_MAX = 2_000
QUEUE_BYTES_MAX = 64 * 1024 * 1024
"""Of webhooks' bodies that wait: those of a usual size are far from it, a flood of the largest is not kept."""
WRITERS = 3
WAIT_SECONDS_MAX = 8.0
BREAK_SECONDS_MAX = 1.0
FAILING_SECONDS_MAX = 1.5
"""What one tenant's failures may take in one batch: one wait for a lock (writing.LOCK_TIMEOUT) and more, not two."""

log = structlog.get_logger("ledgerbeat.http")

Write = Callable[[Sequence[Submission], datetime], Awaitable[list[Recorded]]]
"""Writes the submissions in one transaction and commits it. Raises Unreachable, or whatever kept it from it."""


class NotRecorded(Exception):
    """The database did not confirm: nothing was recorded, or the same request again finds what was."""


class Unreachable(Exception):
    """No connection to the database can be had."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """One request that waits for its answer. `given_up`: nobody listens any more, do not write it."""

    submission: Submission
    answer: "asyncio.Future[Recorded]"
    due_at: float
    given_up: bool = field(default=False)

    def tell(self, outcome: Recorded | NotRecorded) -> None:
        if self.answer.done():
            return
        if isinstance(outcome, NotRecorded):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class Batcher:
    """The queue, its writers, and the transaction that they call. Belongs to one event loop from start() to stop()."""

    def __init__(
        self,
        write: Write,
        *,
        committed: Callable[[Sequence[Submission]], None],
        writers: int = WRITERS,
        queue_max: int = QUEUE_MAX,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._write = write
        self._committed = committed
        self._writers = writers
        self._queue_max = queue_max
        self._wait_seconds_max = wait_seconds_max
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._listening: dict[_Waiting, None] = {}  # in the order in which they fall due
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._stopping = False

    def start(self) -> None:
        """To be called in the event loop."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._writers)]

    async def stop(self, within_seconds: float = 10.0) -> None:
        """Write what waits, then end the writers; those that hang are broken off."""
        self._stopping = True
        self._wake.set()
        left: Collection[asyncio.Task[None]] = self._tasks
        if left:
            _, left = await asyncio.wait(left, timeout=within_seconds)
        for _ in range(2 if left else 0):  # once for the query, once for the server's consent to break it off
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=BREAK_SECONDS_MAX)

    def waiting(self) -> int:
        """How many requests wait to be written."""
        return len(self._queue)

    async def submit(self, submission: Submission) -> Recorded:
        """Recorded and committed. Raises NotRecorded: queue full, too long a wait, or the database said no."""
        if len(self._queue) >= self._queue_max or self._queued_bytes > QUEUE_BYTES_MAX:
            raise NotRecorded("the queue is full")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(submission, loop.create_future(), loop.time() + self._wait_seconds_max)
        self._queue.append(waiting)
        self._queued_bytes += submission.body_bytes
        self._listening[waiting] = None
        if self._alarm is None:
            self._set_alarm()
        self._wake.set()
        try:
            return await waiting.answer
        finally:
            waiting.given_up = True
            del self._listening[waiting]

    def _set_alarm(self) -> None:
        """One alarm for all, at the time of the oldest: each has the same patience."""
        loop, oldest = asyncio.get_running_loop(), next(iter(self._listening), None)
        self._alarm = None if oldest is None else loop.call_at(oldest.due_at, self._ring)

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        for waiting in list(self._listening):
            if waiting.due_at > now:
                break
            waiting.given_up = True
            waiting.tell(NotRecorded("no answer in time"))
        self._alarm = None
        asyncio.get_running_loop().call_soon(self._look_again)

    def _look_again(self) -> None:
        """Those that were told have left by now."""
        if self._alarm is None:
            self._set_alarm()

    async def _work(self) -> None:
        while batch := await self._take():
            try:
                await self._perform(batch)
            except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # noqa: BLE001 - a bug may cost a batch its answers, not the writer
                log.error("http.intake.broken", requests=len(batch), error=describe_error(error))  # noqa: TRY400
                for waiting in batch:
                    waiting.tell(NotRecorded("the answer was lost"))

    async def _take(self) -> list[_Waiting]:
        """What waits, up to BATCH_MAX, as soon as there is any; nothing when this writer is to end."""
        while True:
            batch, taken_bytes = list[_Waiting](), 0
            while self._queue and len(batch) < BATCH_MAX and taken_bytes < BATCH_BYTES_MAX:
                waiting = self._queue.popleft()
                self._queued_bytes -= waiting.submission.body_bytes
                if not waiting.given_up:
                    batch.append(waiting)
                    taken_bytes += waiting.submission.body_bytes
            if batch or self._stopping:
                return batch
            self._wake.clear()
            await self._wake.wait()

    async def _perform(self, batch: list[_Waiting]) -> None:
        try:
            await self._write_together(batch)
        except Unreachable:
            batch += self._queue
            self._queue.clear()
            self._queued_bytes = 0
            log.warning("http.intake.unreachable", waiting=len(batch))
            for waiting in batch:
                waiting.tell(NotRecorded("the database cannot be reached"))

    async def _write_together(self, batch: list[_Waiting]) -> None:
        if not await self._written(batch):
            shares = _by_tenant(batch)
            failed = [share for share in shares if len(shares) == 1 or not await self._written(share)]
            for share in failed:
                await self._write_one_by_one(share)

    async def _write_one_by_one(self, share: list[_Waiting]) -> None:
        failing_seconds = 0.0
        for waiting in share:
            if waiting.given_up:
                continue
            started_at = time.monotonic()
            if failing_seconds >= FAILING_SECONDS_MAX or not await self._written([waiting]):
                failing_seconds += time.monotonic() - started_at
                waiting.tell(NotRecorded("the database refused the request"))

    async def _written(self, batch: list[_Waiting]) -> bool:
        """Write these in one transaction and answer them. False when it failed, and nobody was answered."""
        submissions = [waiting.submission for waiting in batch]
        try:
            recorded = await self._write(submissions, datetime.now(UTC))
        except Unreachable:
            raise
        except Exception as error:  # noqa: BLE001 - this writer must live, and each request must be answered
            log.warning("http.intake.batch_failed", requests=len(batch), error=describe_error(error))
            return False
        for waiting, answer in zip(batch, recorded, strict=True):
            waiting.tell(answer)
        self._committed(submissions)
        return True


def _by_tenant(batch: Sequence[_Waiting]) -> list[list[_Waiting]]:
    shares: dict[str, list[_Waiting]] = {}
    for waiting in batch:
        shares.setdefault(waiting.submission.tenant, []).append(waiting)
    return list(shares.values())
