"""What follows from a batch: the counts, where the run goes on, how much of it fits its cap. Pure.

read ──last page──▶ second_look (while rows wait, and a pass over them gets on) ──▶ done
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from models.backfills.runs import Checkpoint, Run
from tasks.backfills.port import Applied, PaceFacts

Sums = Mapping[str, Mapping[str, int]]
Step = Literal["on", "done", "cap_reached"]
"""What a run does after a batch."""

HANDED_OVER_SECONDS = 15
"""For so long a run is kept for whoever brings the next turn; then the tick sends another."""
FAILED_ROWS_MAX = 100
"""So many rows that fail, one by one, are a fault of ours or of the database: somebody has a look."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one batch: at most `rows` were asked for, it took `seconds`, and held its locks for `lock_seconds`."""

    rows: int
    seconds: float
    lock_seconds: float


def checkpoint(run: Run, applied: Applied, timing: Timing, *, now: datetime) -> Checkpoint:
    """Where the run stands when the batch is done."""
    reading, ends = run.phase == "read", applied.is_last and not applied.cap_reached
    waits = sum(row.state == "waiting" for row in applied.set_aside)
    begins_again = reading and ends
    return Checkpoint(
        phase="second_look" if begins_again else run.phase,
        cursor=None if begins_again else applied.after,
        rows_read=run.rows_read + (applied.rows if reading else 0),
        posted=run.posted + applied.posted,
        replayed=run.replayed + applied.replayed,
        unchanged=run.unchanged + applied.unchanged,
        quarantined=run.quarantined + len(applied.set_aside) - waits,
        waiting=run.waiting + (waits if reading else -applied.rows),
        bytes_read=max(run.bytes_read, applied.bytes_read),
        money=added(run.money, applied.money),
        reasons=Counter(run.reasons)
        + Counter(row.code for row in applied.set_aside if row.state != "waiting"),
        rows_last=timing.rows,
        last_batch_seconds=timing.lock_seconds,
        worked_seconds=run.worked_seconds + timing.seconds,
        claimed_until=now + timedelta(seconds=HANDED_OVER_SECONDS),
    )


def step(run: Run, applied: Applied, at: Checkpoint) -> Step:
    """Of a batch of `run`, which has come to `at`."""
    if applied.cap_reached:
        return "cap_reached"
    if not applied.is_last or (run.phase == "read" and at.waiting > 0):
        return "on"
    return "done"


def within_cap(run: Run, moves: Iterable[tuple[str, int] | None]) -> int:
    """How many rows, from the first on, move no more than the run may: of each its currency and what it creates."""
    moved: Counter[str] = Counter()
    rows = 0
    for rows, move in enumerate(moves, 1):
        if move is not None and run.max_amount_minor is not None:
            currency, amount = move
            moved[currency] += amount
            if run.posted_minor(currency) + moved[currency] > run.max_amount_minor:
                return rows - 1
    return rows


def added(one: Sums, other: Sums) -> dict[str, dict[str, int]]:
    """The sums of both."""
    return {
        currency: dict(Counter(one.get(currency, {})) + Counter(other.get(currency, {})))
        for currency in sorted(one.keys() | other.keys())
    }


def pace_facts(run: Run, now: datetime) -> PaceFacts:
    """How the run has been going."""
    waited = None if run.last_batch_at is None else (now - run.last_batch_at).total_seconds()
    return PaceFacts(run.batch_rows, run.rows_last, run.last_batch_seconds, waited)


def too_many_failed(run: Run) -> bool:
    """Does the next row that fails make another FAILED_ROWS_MAX of them?"""
    return (run.reasons.get("failed", 0) + 1) % FAILED_ROWS_MAX == 0
