"""The pace of a backfill: tables, and what must hold of every pace."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.backfills.pacing import REST_SECONDS_MAX, ROWS_MIN, Surroundings, pace
from tasks.backfills.port import Pace, PaceFacts

CALM = Surroundings()


def going(
    rows: int,
    seconds: float = 0.02,
    *,
    rows_max: int = 1000,
    waited: float = 0.01,
    shared: float | None = None,
) -> PaceFacts:
    return PaceFacts(rows_max, rows, seconds, waited, shared)


@pytest.mark.parametrize(
    ("facts", "seen", "expected"),
    [
        (PaceFacts(1000, None, None, None), CALM, Pace(500)),
        (PaceFacts(400, None, None, None), CALM, Pace(400)),
        (PaceFacts(1000, None, None, None), Surroundings(live_seconds=60), Pace(100)),
        (PaceFacts(1000, None, None, None), Surroundings(waiting=1), Pace(100)),
        (PaceFacts(50, None, None, None), Surroundings(waiting=1), Pace(50)),
        (going(1000), CALM, Pace(1000)),
        (going(100), CALM, Pace(200)),
        (going(300), CALM, Pace(600)),
        (going(800), CALM, Pace(1000)),
        (going(500, 0.1), CALM, Pace(1000)),
        (going(500, 0.101), CALM, Pace(500)),
        (going(500, 0.25), CALM, Pace(500)),
        (going(500, 0.251), CALM, Pace(250)),
        (going(500, 0.025, shared=0), CALM, Pace(1000)),
        (going(500, 0.026, shared=9.9), CALM, Pace(500)),
        (going(500, 0.05, shared=9.9), CALM, Pace(500)),
        (going(500, 0.051, shared=9.9), CALM, Pace(250)),
        (going(500, 0.051, shared=10), CALM, Pace(1000)),
        (going(500, 0.01, shared=1), Surroundings(waiting=1), Pace(250)),
        (going(120, 0.2, shared=1), CALM, Pace(100)),
        (going(500), Surroundings(live_seconds=0.25), Pace(1000)),
        (going(500), Surroundings(live_seconds=0.26), Pace(250)),
        (going(500), Surroundings(live_seconds=1.01), Pace(250)),
        (going(500), Surroundings(live_seconds=5.0), Pace(250)),
        (going(500, waited=0), Surroundings(live_seconds=5.1), Pace(250, 1.02)),
        (going(500, waited=0), Surroundings(live_seconds=30), Pace(250, 6.0)),
        (going(500, waited=0), Surroundings(live_seconds=3600), Pace(250, 10.0)),
        (going(500, waited=4), Surroundings(live_seconds=3600), Pace(250, 6.0)),
        (going(500, waited=10), Surroundings(live_seconds=3600), Pace(250)),
        (going(500, waited=-3600), Surroundings(live_seconds=3600), Pace(250, 10.0)),
        (going(500), Surroundings(waiting=1), Pace(250)),
        (going(150), Surroundings(waiting=40), Pace(100)),
        (going(7, rows_max=7), Surroundings(waiting=1), Pace(7)),
    ],
)
def test_what_is_seen_sets_the_pace(facts: PaceFacts, seen: Surroundings, expected: Pace) -> None:
    assert pace(facts, seen) == expected


def test_a_run_that_was_slowed_down_is_as_fast_as_before_once_it_is_calm() -> None:
    rows = 1000
    for _ in range(10):
        rows = pace(going(rows), Surroundings(live_seconds=2)).rows_next
    assert rows == ROWS_MIN
    calm = [rows := pace(going(rows), CALM).rows_next for _ in range(4)]
    assert calm == [200, 400, 800, 1000]


@pytest.mark.parametrize("milliseconds_a_row", [0.05, 0.2, 0.3, 0.6, 1.2, 2.4])
def test_a_size_is_found_and_kept(milliseconds_a_row: float) -> None:
    """A machine on which each row takes so long sees batches of one size after a few, none of them too long."""
    for shared, longest in ((None, 250), (1.0, 50)):
        sizes, rows = [], 1000
        for _ in range(40):
            rows = pace(going(rows, rows * milliseconds_a_row / 1000, shared=shared), CALM).rows_next
            sizes.append(rows)
        assert all(one == after for one, after in pairwise(sizes[20:]))
        assert sizes[-1] * milliseconds_a_row <= longest or sizes[-1] == ROWS_MIN


@pytest.mark.parametrize("live_seconds", [5.01, 7, 60, 1e6])
def test_a_lane_that_is_stuck_for_ever_stops_no_backfill(live_seconds: float) -> None:
    """Asked again after the rest that it was told, it may work."""
    told = pace(going(500, waited=0), Surroundings(live_seconds))
    assert told.wait_seconds > 0
    assert pace(going(500, waited=told.wait_seconds), Surroundings(live_seconds)) == Pace(250)


FACTS = st.builds(
    PaceFacts,
    batch_rows=st.integers(1, 20_000),
    rows_last=st.none() | st.integers(1, 20_000),
    seconds_last=st.none() | st.floats(0, 1e6),
    waited_seconds=st.none() | st.floats(-1e6, 1e6),
    shared_seconds=st.none() | st.floats(-1e6, 1e6),
)


@given(facts=FACTS, seen=st.builds(Surroundings, st.floats(0, 1e9), st.integers(0, 1000)))
def test_a_batch_neither_vanishes_nor_exceeds_what_was_given(facts: PaceFacts, seen: Surroundings) -> None:
    found = pace(facts, seen)
    assert min(ROWS_MIN, facts.batch_rows) <= found.rows_next <= facts.batch_rows
    assert 0 <= found.wait_seconds <= REST_SECONDS_MAX
