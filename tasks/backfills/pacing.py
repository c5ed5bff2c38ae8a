"""How large the next batch of a backfill is, and how long it waits, so that live work hardly notices. Pure.

    live work waits > 5 s                                   half as many rows, after a rest of 1 to 10 s
    live work waits > 1 s, locks are waited for, or
    the last batch took > 250 ms                            half as many rows
    the last batch took > 100 ms                            as many
    otherwise                                               twice as many

Never below ROWS_MIN, never above what the run was given. A batch is halved above 250 ms and doubled below 100 ms only:
so a size that fits is kept, and nothing swings.
"""

from dataclasses import dataclass

ROWS_MIN = 100
"""Live work is waited for by making batches small, never by stopping: a lane that is stuck stops no backfill."""
BATCH_SECONDS_MAX = 0.25
BATCH_SECONDS_SHORT = 0.1
LIVE_SECONDS_MAX = 1.0
LIVE_SECONDS_LONG = 5.0
REST_SECONDS_MIN, REST_SECONDS_MAX = 1.0, 10.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a backfill sees of the others. `live_seconds`: since when the oldest live job is due. `waiting`: how many
    sessions wait for a lock. `batch_seconds`: how long the last batch held its locks; None before the first."""

    live_seconds: float = 0.0
    waiting: int = 0
    batch_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """So many rows in the next batch, and not before so many seconds have passed."""

    rows_next: int
    wait_seconds: float = 0.0


def pace(seen: Surroundings, *, rows: int, rows_max: int) -> Pace:
    """What follows a batch of at most `rows`, in a run whose batches may have `rows_max`."""
    if _is_in_the_way(seen):
        return Pace(_bounded(rows // 2, rows_max), _rest(seen.live_seconds))
    if seen.batch_seconds is not None and seen.batch_seconds > BATCH_SECONDS_SHORT:
        return Pace(_bounded(rows, rows_max))
    return Pace(_bounded(rows * 2, rows_max))


def _is_in_the_way(seen: Surroundings) -> bool:
    return (
        seen.live_seconds > LIVE_SECONDS_MAX
        or seen.waiting > 0
        or (seen.batch_seconds is not None and seen.batch_seconds > BATCH_SECONDS_MAX)
    )


def _bounded(rows: int, rows_max: int) -> int:
    return min(max(rows, ROWS_MIN), rows_max)


def _rest(live_seconds: float) -> float:
    """A second for every five that live work waits."""
    if live_seconds <= LIVE_SECONDS_LONG:
        return 0.0
    return min(max(live_seconds / 5, REST_SECONDS_MIN), REST_SECONDS_MAX)
