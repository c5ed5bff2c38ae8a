"""One works for all who ask at the same moment, and nobody's asking is forgotten."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.payouts.turns import ROUNDS_MAX, Turns

ACCOUNT = ("acme", "sandbox")
OTHER = ("globex", "sandbox")


def test_who_asks_while_somebody_works_goes_away_and_the_work_is_done_once_more() -> None:
    turns, rounds = Turns[tuple[str, str]](), list[int]()

    def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            for _ in range(5):
                turns.take(ACCOUNT, lambda: pytest.fail("somebody is at it"))

    turns.take(ACCOUNT, work)
    assert rounds == [0, 1]
    turns.take(ACCOUNT, work)
    assert rounds == [0, 1, 2]


def test_another_account_waits_for_nobody() -> None:
    turns, done = Turns[tuple[str, str]](), []
    turns.take(ACCOUNT, lambda: turns.take(OTHER, lambda: done.append(OTHER)))
    assert done == [OTHER]


def test_work_that_fails_leaves_the_turn_to_the_next() -> None:
    turns, done = Turns[tuple[str, str]](), []
    with pytest.raises(ZeroDivisionError):
        turns.take(ACCOUNT, lambda: 1 / 0)
    turns.take(ACCOUNT, lambda: done.append(1))
    assert done == [1]


def test_nobody_works_for_the_others_for_ever() -> None:
    turns, rounds = Turns[tuple[str, str]](), list[int]()

    def work() -> None:
        rounds.append(1)
        turns.take(ACCOUNT, work)

    turns.take(ACCOUNT, work)
    assert len(rounds) == ROUNDS_MAX
    turns.take(ACCOUNT, rounds.clear)
    assert rounds == []


def test_every_asking_is_followed_by_work_that_begins_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread notes what it has done, then asks: after the last, everything that was noted has been seen."""
    monkeypatch.setattr("tasks.payouts.turns.ROUNDS_MAX", 10_000)
    turns, noted, seen = Turns[tuple[str, str]](), set[int](), set[int]()
    barrier = threading.Barrier(8)

    def run(number: int) -> None:
        barrier.wait(60)
        for step in range(200):
            noted.add(number * 1000 + step)
            turns.take(ACCOUNT, lambda: seen.update(noted.copy()))

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(run, number) for number in range(8)]:
            done.result()
    assert len(seen) == 1600
