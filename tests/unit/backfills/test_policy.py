"""What follows from a batch."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from models.backfills.quarantine import SetAside
from models.backfills.runs import Run
from tasks.backfills.policy import (
    Timing,
    added,
    cap_words,
    checkpoint,
    pace_facts,
    step,
    too_many_failed,
    why_cap_refused,
    within_cap,
)
from tasks.backfills.port import Applied, PastCap
from tasks.backfills.progress import progress

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
RUN = Run(
    id=UUID(int=1), tenant="acme", kind="postings", source={}, source_digest=None, namespace="legacy", options={},
    dry_run=False, batch_rows=100, max_amount_minor=None, state="running", pause_code=None, stop_asked=None,
    last_error=None, phase="read", cursor=None, rows_read=10, posted=4, replayed=3, unchanged=0, quarantined=1,
    waiting=2, bytes_read=50, bytes_total=None, rows_total=None, money={"EUR": {"posted": 70}}, reasons={"conflict": 1},
    batches=1, rows_last=None, last_batch_seconds=None, others_waited_at=None, claim_version=1, claimed_until=None,
    next_batch_at=NOON,
    actor="ops", reason="why", job_id=None, created_at=NOON, started_at=NOON, last_batch_at=None, worked_seconds=2.0,
    finished_at=None,
)  # fmt: skip
PAST = PastCap("line 1,208", "EUR", 150)
TIMING = Timing(rows=100, seconds=0.5, lock_seconds=0.25, others_waited=3)


def aside(code: str, state: str = "open") -> SetAside:
    return SetAside("7", 7, "id", "raw", code, "why", state, {} if state == "waiting" else None)


def applied(**more: Any) -> Applied:
    return Applied(**{"after": {"at": 2}, "is_last": False, "bytes_read": 90, **more})


def test_every_row_is_counted_once() -> None:
    rows = [aside("conflict"), aside("no_id"), aside("insufficient_funds", "waiting")]
    at = checkpoint(RUN, applied(posted=5, replayed=1, unchanged=1, set_aside=rows), TIMING, now=NOON)
    assert (at.rows_read, at.posted, at.replayed, at.unchanged, at.quarantined, at.waiting) == (
        20,
        9,
        4,
        1,
        3,
        3,
    )
    assert at.rows_read == at.posted + at.replayed + at.unchanged + at.quarantined + at.waiting
    assert at.reasons == {"conflict": 2, "no_id": 1}
    assert (at.bytes_read, at.worked_seconds, at.rows_last, at.last_batch_seconds) == (90, 2.5, 100, 0.25)
    assert at.others_waited_at == NOON


def test_a_second_look_reads_no_row_anew() -> None:
    run = replace(RUN, phase="second_look")
    at = checkpoint(run, applied(posted=1, set_aside=[aside("conflict")]), TIMING, now=NOON)
    assert (at.rows_read, at.posted, at.quarantined, at.waiting) == (10, 5, 2, 0)


@pytest.mark.parametrize(
    ("phase", "waiting", "more", "expected", "next_phase", "cursor"),
    [
        ("read", 0, {}, "on", "read", {"at": 2}),
        ("read", 0, {"is_last": True}, "done", "second_look", None),
        ("read", 2, {"is_last": True}, "on", "second_look", None),
        ("read", 2, {"is_last": True, "past_cap": PAST}, PAST, "read", {"at": 2}),
        ("second_look", 2, {}, "on", "second_look", {"at": 2}),
        ("second_look", 2, {"is_last": True}, "done", "second_look", {"at": 2}),
        ("second_look", 2, {"past_cap": PAST}, PAST, "second_look", {"at": 2}),
    ],
)
def test_where_a_run_goes_on(
    phase: str, waiting: int, more: dict[str, Any], expected: str | PastCap, next_phase: str, cursor: Any
) -> None:
    run, done = replace(RUN, phase=phase, waiting=waiting), applied(**more)
    at = checkpoint(run, done, TIMING, now=NOON)
    assert (step(run, done, at), at.phase, at.cursor) == (expected, next_phase, cursor)


@pytest.mark.parametrize(
    ("cap", "moves", "rows"),
    [
        (None, [("EUR", 10**18)] * 3, 3),
        (70, [], 0),
        (70, [None, ("EUR", 1)], 1),
        (70, [None, ("USD", 70), ("USD", 1)], 2),
        (100, [("EUR", 30), None, ("EUR", 1)], 2),
        (100, [("EUR", 29), ("EUR", 1), ("EUR", 1), ("USD", 1)], 2),
        (0, [None, None], 2),
    ],
)
def test_as_many_rows_as_the_cap_lets_pass(cap: int | None, moves: list[Any], rows: int) -> None:
    """70 EUR were moved before."""
    assert within_cap(replace(RUN, max_amount_minor=cap), moves) == rows


@pytest.mark.parametrize(
    ("run", "past", "words"),
    [
        (
            replace(RUN, max_amount_minor=200),
            PAST,
            (
                "line 1,208 would move 1.50 EUR; 0.70 EUR were moved before it, and the cap is 2.00 EUR "
                "(200 minor units of each currency). It goes on with --max-amount-minor 220 or more"
            ),
        ),
        (
            replace(RUN, max_amount_minor=0, dry_run=True),
            PastCap("row k-7", "JPY", 1000),
            (
                "row k-7 would move 1,000 JPY; 0 JPY would have been moved before it, and the cap is 0 JPY "
                "(0 minor units of each currency). It goes on with --max-amount-minor 1000 or more"
            ),
        ),
    ],
)
def test_a_cap_says_what_it_stopped_and_which_would_do(run: Run, past: PastCap, words: str) -> None:
    assert cap_words(run, past) == words


@pytest.mark.parametrize(
    ("before", "code", "cap", "refused"),
    [
        (None, "asked", None, None),
        (None, "asked", 5, "can only raise a cap; there is none"),
        (70, "asked", 70, None),
        (70, "asked", 69, "can only raise a cap; this one is 70"),
        (70, "source_failed", 71, None),
        (70, "cap_reached", 69, "can only raise a cap"),
        (70, "cap_reached", 70, "would stop at once: line 8 .* Give a higher one, --max-amount-minor"),
        (70, "cap_reached", 71, None),
        (0, "cap_reached", 0, "would stop at once"),
        (0, "cap_reached", 1, None),
    ],
)
def test_a_cap_that_stopped_a_run_must_be_raised(
    before: int | None, code: str, cap: int | None, refused: str | None
) -> None:
    run = replace(
        RUN, state="paused", max_amount_minor=before, pause_code=code, last_error="line 8 would move 1.50 EUR"
    )
    why = why_cap_refused(run, cap)
    assert why is None if refused is None else re.search(refused, str(why))


def test_sums_are_by_currency() -> None:
    assert added({"EUR": {"posted": 1}}, {"EUR": {"posted": 2, "replayed": 3}, "USD": {"replayed": 4}}) == {
        "EUR": {"posted": 3, "replayed": 3},
        "USD": {"replayed": 4},
    }


def test_every_hundredth_row_that_fails_is_looked_at() -> None:
    assert [failed for failed in range(300) if too_many_failed(replace(RUN, reasons={"failed": failed}))] == [
        99, 199, 299,
    ]  # fmt: skip


def test_the_pace_is_told_how_it_went() -> None:
    run = replace(RUN, rows_last=50, last_batch_seconds=0.2, last_batch_at=NOON)
    facts = pace_facts(run, NOON + timedelta(seconds=3))
    assert (facts.batch_rows, facts.rows_last, facts.seconds_last, facts.waited_seconds) == (
        100,
        50,
        0.2,
        3.0,
    )
    assert pace_facts(RUN, NOON).waited_seconds is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"rows_read": 0, "worked_seconds": 0.0}, "0 rows"),
        ({}, "10 rows, 5/s"),
        ({"rows_total": 40}, "10 of 40 rows, 5/s, ETA 6 s"),
        ({"bytes_total": 100}, "10 rows, 50%, 5/s, ETA 2 s"),
        ({"rows_total": 5}, "10 of 5 rows, 5/s, ETA 0 s"),
        ({"rows_total": 42_000, "phase": "second_look"}, "10 of 42,000 rows, 5/s, ETA 0 s"),
        ({"rows_total": 0}, "10 of 0 rows, 5/s"),
    ],
)
def test_progress_is_numbers(more: dict[str, Any], said: str) -> None:
    assert str(progress(replace(RUN, **more))) == said
