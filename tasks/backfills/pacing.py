"""How large the next batch of a backfill is, and how long it rests, so that live work hardly notices. Pure.

                                                            anybody   while others wait for it
    live work waits > 5 s                                   half as many rows, 1 to 10 s after the last batch
    live work waits > 250 ms, or locks are waited for       half as many rows
    the last batch held its locks longer than               250 ms    50 ms      half as many
    the last batch held its locks longer than               100 ms    25 ms      as many
    otherwise                                               twice as many

Never below ROWS_MIN, never above what the run was given; it begins with ROWS_FIRST, or ROWS_MIN where live work waits.
Between two bounds a size is kept: so one that fits stays, and nothing swings. Who waits for a batch is live work that
moves the same accounts, and comes again: for them it is short for a while.
"""

from dataclasses import dataclass

from tasks.backfills.port import Pace, PaceFacts

ROWS_FIRST = 500
ROWS_MIN = 100
"""Live work is made room for by small batches and rests, never by stopping: a stuck lane stops no backfill."""
BATCH_SECONDS_MAX = 0.25
BATCH_SECONDS_SHORT = 0.1
BATCH_SECONDS_SHARED = 0.05
SHARED_SECONDS = 10.0
"""So long after others have waited for a batch they are thought to be there: one moment in a batch is looked at."""
LIVE_SECONDS_MAX = 0.25
"""Above a second, as first tried, batches stayed large and the effects of live jobs came four times later; with this,
twice (tests/bench/test_backfill.py)."""
LIVE_SECONDS_LONG = 5.0
REST_SECONDS_MIN, REST_SECONDS_MAX = 1.0, 10.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is to be seen of the others: `live_seconds`, since when the oldest live job is due; `waiting`, how many
    sessions wait for a lock."""

    live_seconds: float = 0.0
    waiting: int = 0


def pace(facts: PaceFacts, seen: Surroundings) -> Pace:
    """The next batch of a run that has been going like that, in such surroundings."""
    return Pace(_rows(facts, seen), _rest(facts, seen))


def _rows(facts: PaceFacts, seen: Surroundings) -> int:
    in_the_way, seconds = seen.live_seconds > LIVE_SECONDS_MAX or seen.waiting > 0, facts.seconds_last or 0.0
    shared = facts.shared_seconds is not None and facts.shared_seconds < SHARED_SECONDS
    longest, short = (
        (BATCH_SECONDS_SHARED, BATCH_SECONDS_SHARED / 2)
        if shared
        else (BATCH_SECONDS_MAX, BATCH_SECONDS_SHORT)
    )
    if facts.rows_last is None:
        wanted = ROWS_MIN if in_the_way else ROWS_FIRST
    elif in_the_way or seconds > longest:
        wanted = facts.rows_last // 2
    elif seconds > short:
        wanted = facts.rows_last
    else:
        wanted = facts.rows_last * 2
    return min(max(wanted, ROWS_MIN), facts.batch_rows)


def _rest(facts: PaceFacts, seen: Surroundings) -> float:
    """What is left of it: a second for every five that live work waits."""
    if seen.live_seconds <= LIVE_SECONDS_LONG or facts.waited_seconds is None:
        return 0.0
    wanted = min(max(seen.live_seconds / 5, REST_SECONDS_MIN), REST_SECONDS_MAX)
    return max(0.0, wanted - max(0.0, facts.waited_seconds))
