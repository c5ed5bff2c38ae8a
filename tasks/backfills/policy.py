"""What follows from a batch: the counts, where the run goes on, how much of it fits its cap. Pure.

read ──last page──▶ second_look (while rows wait, and a pass over them gets on) ──▶ done
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from models.backfills.runs import Checkpoint, Run
from models.money import format_minor
from tasks.backfills.port import Applied, PaceFacts, PastCap

Sums = Mapping[str, Mapping[str, int]]
Step = Literal["on", "done"] | PastCap
"""What a run does after a batch: PastCap stops it before that row."""

HANDED_OVER_SECONDS = 15
"""For so long a run is kept for whoever brings the next turn; then the tick sends another."""
FAILED_ROWS_MAX = 100
"""So many rows that fail, one by one, are a fault of ours or of the database: somebody has a look."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one batch: at most `rows` were asked for, it took `seconds`, held its locks for `lock_seconds`, and
    so many sessions waited for them at its end."""

    rows: int
    seconds: float
    lock_seconds: float
    others_waited: int = 0


def checkpoint(run: Run, applied: Applied, timing: Timing, *, now: datetime) -> Checkpoint:
    """Where the run stands when the batch is done."""
    reading, ends = run.phase == "read", applied.is_last and applied.past_cap is None
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
        others_waited_at=now if timing.others_waited else run.others_waited_at,
        worked_seconds=run.worked_seconds + timing.seconds,
        claimed_until=now + timedelta(seconds=HANDED_OVER_SECONDS),
    )


def step(run: Run, applied: Applied, at: Checkpoint) -> Step:
    """Of a batch of `run`, which has come to `at`."""
    if applied.past_cap is not None:
        return applied.past_cap
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


def cap_words(run: Run, past: PastCap) -> str:
    """Where the run stops, once its batch is counted, and with which cap the row that comes next would pass."""
    moved, cap = run.posted_minor(past.currency), run.max_amount_minor or 0
    row, before, most = (format_minor(one, past.currency) for one in (past.amount_minor, moved, cap))
    would = "would have been moved" if run.dry_run else "were moved"
    return (
        f"{past.place} would move {row}; {before} {would} before it, and the cap is {most} ({cap} minor units of each "
        f"currency). It goes on with --max-amount-minor {moved + past.amount_minor} or more"
    )


def why_cap_refused(run: Run, cap: int | None) -> str | None:
    """Why a stopped run is not resumed with this cap, if so: none is lowered, and the same one stops the same row."""
    before = run.max_amount_minor
    if cap is not None and (before is None or cap < before):
        stands = "there is none" if before is None else f"this one is {before}"
        return f"backfill {run.id}: a resume can only raise a cap; {stands}"
    if run.pause_code == "cap_reached" and cap == before:
        return (
            f"backfill {run.id} has come to its cap and would stop at once: {run.last_error}. Give a higher one, "
            "--max-amount-minor (in a job max_amount_minor), or cancel it"
        )
    return None


def added(one: Sums, other: Sums) -> dict[str, dict[str, int]]:
    """The sums of both."""
    return {
        currency: dict(Counter(one.get(currency, {})) + Counter(other.get(currency, {})))
        for currency in sorted(one.keys() | other.keys())
    }


def pace_facts(run: Run, now: datetime) -> PaceFacts:
    """How the run has been going."""
    waited = None if run.last_batch_at is None else (now - run.last_batch_at).total_seconds()
    shared = None if run.others_waited_at is None else (now - run.others_waited_at).total_seconds()
    return PaceFacts(run.batch_rows, run.rows_last, run.last_batch_seconds, waited, shared)


def too_many_failed(run: Run) -> bool:
    """Does the next row that fails make another FAILED_ROWS_MAX of them?"""
    return (run.reasons.get("failed", 0) + 1) % FAILED_ROWS_MAX == 0
