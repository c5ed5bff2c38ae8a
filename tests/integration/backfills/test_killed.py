"""A process is killed at every kind of point of a run, and ten times in a row: the same ledger, the same counts.

The points are not listed here: they are those that a run without a death reaches.
"""

import random
import signal
from typing import Any

import pytest

from models.backfills.runs import Run
from tasks.backfills import service
from tests.integration.backfills.generated import Desks
from tests.integration.backfills.killing import live
from tests.integration.backfills.runs import Desk, line
from tests.integration.crashes.points import Point
from tests.waiting import until

ROWS = [
    line("3", "bob", -5),
    line("2", "ada", 20, to="bob"),
    line("1", "ada", 30),
    line("1", "ada", 31),
    line("", "ada", 1),
    line("1", "ada", 30),
    line("4", "cy", -1),
]
COUNTS = (
    "state",
    "rows_read",
    "posted",
    "replayed",
    "unchanged",
    "quarantined",
    "waiting",
    "money",
    "reasons",
)
CLAIM_ENDS = 61


def told(desk: Desk, run: Run) -> dict[str, Any]:
    """Everything but times, and how many batches were begun in vain."""
    return {name: getattr(run, name) for name in COUNTS} | {
        "ledger": desk.ledger(),
        "set aside": [
            (row.place, row.code, row.state) for row in desk.set_aside(run.id, "open", "waiting", "posted")
        ],
        "broken": desk.broken(),
    }


def begun(desk: Desk, **more: Any) -> Any:
    return desk.start(desk.file(ROWS), **{"batch_rows": 3, **more})


def go_on(desk: Desk, run_id: Any) -> Run:
    """What the tick and the workers do when the claim of the dead has run out."""

    def ended() -> bool:
        desk.clock.forward(CLAIM_ENDS)
        service.tick(desk.hands())
        while desk.sent:
            service.work(desk.hands(), *desk.sent.pop()[:2])
        return desk.look(run_id).state not in ("pending", "running")

    until(ended, what="the end of the run")
    return desk.look(run_id)


@pytest.mark.parametrize(
    "more", [{}, {"dry_run": True}, {"max_amount_minor": 1000}], ids=["plain", "dry", "capped"]
)
def test_a_death_at_any_point_changes_nothing(desks: Desks, database_url: str, more: dict[str, Any]) -> None:
    with desks() as sound:
        run_id = begun(sound, **more)
        points, exitcode = live(sound, database_url, run_id)
        expected = told(sound, sound.look(run_id))
    assert exitcode == 0
    assert expected["state"] == "done"
    chosen = first_and_last(points)
    assert len(chosen) > 30
    wrong = []
    for point in chosen:
        with desks() as desk:
            run_id = begun(desk, **more)
            assert live(desk, database_url, run_id, point)[1] == -signal.SIGKILL
            if told(desk, go_on(desk, run_id)) != expected:
                wrong.append(point)
    assert wrong == []


def first_and_last(points: list[Point]) -> list[Point]:
    """The first time and the last time that each place is reached."""
    times: dict[str, list[Point]] = {}
    for point in points:
        times.setdefault(point.label, []).append(point)
    return [point for found in times.values() for point in dict.fromkeys((found[0], found[-1]))]


@pytest.mark.parametrize("seed", [1, 2])
def test_ten_deaths_in_one_run_change_nothing(desks: Desks, database_url: str, seed: int) -> None:
    rows = [line(str(number % 50), f"o-{number % 6}", (number * 7) % 23 - 9) for number in range(60)]
    with desks() as sound:
        expected = told(sound, sound.run(sound.file(rows), batch_rows=4))
    chance, deaths = random.Random(seed), 0  # noqa: S311
    with desks() as desk:
        run_id = desk.start(desk.file(rows), batch_rows=4)
        while deaths < 10 and desk.look(run_id).state != "done":
            desk.clock.forward(CLAIM_ENDS)
            deaths += live(desk, database_url, run_id, chance.randrange(5, 60))[1] == -signal.SIGKILL
        assert deaths == 10
        assert told(desk, go_on(desk, run_id)) == expected
