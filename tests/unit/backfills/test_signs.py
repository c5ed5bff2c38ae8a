"""Since when nobody has given a sign of a run: never said of one that is worked on, handed over, or at rest."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from models.backfills.runs import Run
from ops.cli.backfills.signs import sign_words, silence
from ops.cli.backfills.telling import print_list, print_run
from ops.cli.backfills.watching import pace_words
from tasks.backfills.claims import CLAIM_SECONDS, RENEW_SECONDS
from tasks.backfills.policy import HANDED_OVER_SECONDS
from tests.unit.backfills.test_watching import NOW, PENDING, RUNNING

LONG_AGO = -900.0
NOW_IF = "another takes it over now, if Beat runs and a worker takes the queue 'backfills'"


def stands(
    started: float = LONG_AGO, batch: float | None = None, until: float | None = None, **more: Any
) -> Run:
    """By seconds from now; `until` is the claim's end."""
    at = [None if one is None else NOW + timedelta(seconds=one) for one in (started, batch, until)]
    return replace(RUNNING, **{"started_at": at[0], "last_batch_at": at[1], "claimed_until": at[2], **more})


def claimed(renewed: float, batch: float | None = LONG_AGO) -> Run:
    return stands(batch=batch, until=renewed + CLAIM_SECONDS)


def offered(turn: float, batch: float) -> Run:
    return stands(batch=batch, until=turn + HANDED_OVER_SECONDS)


@pytest.mark.parametrize(
    ("run", "seconds"),
    [
        (claimed(0), None),
        (claimed(-RENEW_SECONDS), None),  # a slow source: the batch takes minutes
        (claimed(-19), None),
        (claimed(-20), 20),
        (claimed(-42), 42),
        (claimed(-59), 59),
        (claimed(-75), 75),
        (claimed(-42, batch=None), 42),
        (claimed(-42, batch=-43), 42),
        (stands(started=-7, until=CLAIM_SECONDS - 7), None),
        (offered(0, batch=0), None),
        (offered(-14, batch=-14), None),
        (offered(-16, batch=-16), None),
        (offered(-33, batch=-33), 33),
        (offered(0, batch=-33), 33),  # nobody has taken the turn before
        (offered(-5, batch=-400), 50),  # or longer
        (stands(batch=-30, until=None), 30),
        (stands(batch=-3, until=None), None),
        (stands(batch=-30, next_batch_at=NOW + timedelta(seconds=4)), None),
        (stands(batch=-300, until=3600), 300),
        (replace(claimed(-42), state="done"), None),
        (PENDING, None),
    ],
)
def test_a_silence_is_told_when_a_sign_is_overdue(run: Run, seconds: int | None) -> None:
    assert silence(run, NOW) == seconds


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (claimed(-3, batch=-4), "last batch 4 s ago"),
        (stands(started=-7, until=CLAIM_SECONDS - 7), "no batch yet"),
        (claimed(-42, batch=-43),
         "last batch 43 s ago; no sign of its worker for at least 42 s: another takes it over from 12:00:18Z on"),
        (claimed(-75, batch=-1075),
         f"last batch 1,075 s ago; no sign of its worker for at least 75 s: {NOW_IF}"),
    ],
)  # fmt: skip
def test_who_takes_it_over_is_told(run: Run, words: str) -> None:
    assert sign_words(run, NOW) == words


def test_it_is_told_wherever_a_run_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    silent, words = claimed(-42, batch=-43), "no sign of its worker for at least 42 s"
    assert pace_words(silent, NOW) == words
    print_list([silent], NOW, {})
    print_run(silent, NOW, {})
    said = capsys.readouterr().out
    assert (f"running, {words}" in said, f"last batch 43 s ago; {words}" in said) == (True, True)
    print_run(replace(silent, state="paused", pause_code="asked"), NOW, {})
    assert "no sign" not in capsys.readouterr().out
