"""Messages: lost, doubled, late; two that work on one run; two runs over one file."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from models.backfills.claims import RunClaimLost, claim_run, hold_run
from tasks.backfills import rows, service
from tasks.backfills.batch import run_batch
from tasks.backfills.port import Pace
from tests.integration.backfills.runs import Desk, line
from worker.locks import BackfillLocks


def many(count: int = 30) -> list[Any]:
    return [line(str(number), f"owner-{number % 3}", 10) for number in range(count)]


def deliver(desk: Desk) -> None:
    """Every message that was sent, and those that are sent meanwhile."""
    while desk.sent:
        run_id, turn, _ = desk.sent.pop(0)
        service.work(desk.hands(), run_id, turn)


def test_a_run_goes_from_message_to_message(desk: Desk) -> None:
    run_id = desk.start(desk.file(many()), batch_rows=4)
    assert service.tick(desk.hands()) == 1
    assert desk.sent[0][2] == "0 rows"
    service.work(desk.hands(), *desk.sent.pop()[:2])
    [(_, turn, progress)] = desk.sent
    assert progress.startswith("4 rows, ")
    assert turn == desk.look(run_id).claim_version
    deliver(desk)
    assert (desk.look(run_id).state, desk.look(run_id).batches) == ("done", 8)


def test_while_a_message_is_under_way_the_tick_sends_no_other(desk: Desk) -> None:
    desk.start(desk.file(many()), batch_rows=4)
    for _ in range(3):
        service.tick(desk.hands())
    service.work(desk.hands(), *desk.sent[0][:2])
    assert service.tick(desk.hands()) == 0
    assert len(desk.sent) == 2


def test_a_lost_message_is_sent_again(desk: Desk) -> None:
    run_id = desk.start(desk.file(many()), batch_rows=4)
    lost = 0
    while desk.look(run_id).state != "done":
        desk.sent.clear()
        desk.clock.forward(20)
        lost += service.tick(desk.hands())
        service.work(desk.hands(), *desk.sent.pop()[:2])
    assert (lost, desk.look(run_id).posted) == (8, 30)


def test_a_doubled_message_does_one_batch(desk: Desk) -> None:
    run_id = desk.start(desk.file(many()), batch_rows=4)
    service.tick(desk.hands())
    message = desk.sent.pop()
    for _ in range(3):
        service.work(desk.hands(), *message[:2])
    assert (desk.look(run_id).batches, len(desk.sent)) == (1, 1)


def test_a_broker_that_takes_nothing_stops_nothing(desk: Desk) -> None:
    def refuses(*_: object) -> None:
        raise ConnectionError

    run_id = desk.start(desk.file(many()))
    assert service.tick(desk.hands(publish=refuses)) == 0
    desk.clock.forward(20)
    service.tick(desk.hands())
    deliver(desk)
    assert desk.look(run_id).state == "done"


def test_live_work_goes_first(desk: Desk) -> None:
    run_id = desk.start(desk.file(many()))
    service.tick(desk.hands())
    resting = desk.hands(pace=lambda *_: Pace(100, wait_seconds=4.0))
    assert service.work(resting, *desk.sent.pop()[:2]).wait_seconds == 4.0
    assert (desk.sent, service.tick(desk.hands()), desk.look(run_id).batches) == ([], 0, 0)
    desk.clock.forward(5)
    assert service.tick(desk.hands()) == 1
    deliver(desk)
    assert desk.look(run_id).state == "done"


def test_the_pace_is_asked_before_each_batch(desk: Desk) -> None:
    asked: list[Any] = []

    def slower(_session: object, facts: Any, _now: object) -> Pace:
        asked.append(facts.rows_last)
        return Pace(5 if facts.rows_last is None else facts.rows_last + 5)

    run_id = desk.start(desk.file(many()), batch_rows=100)
    assert service.run_to_end(desk.hands(pace=slower), run_id).state == "done"
    assert asked == [None, 5, 10]


def test_who_was_taken_over_writes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch sleeps past its claim; another does it meanwhile."""
    run_id = desk.start(desk.file(many()), batch_rows=4)
    reading = rows.RowsFeed.read
    others: list[int] = []

    def read_slowly(feed: Any, run: Any, rows_max: int) -> Any:
        portion = reading(feed, run, rows_max)
        if not others:
            others.append(1)
            desk.clock.forward(61)
            desk.batch(run_id)
        return portion

    monkeypatch.setattr(rows.RowsFeed, "read", read_slowly)
    report = desk.batch(run_id)
    assert (report.taken, desk.look(run_id).batches, desk.look(run_id).rows_read) == (True, 1, 4)
    assert len(desk.ledger()) == 8


def test_a_stale_claim_holds_nothing(desk: Desk) -> None:
    """Although whoever took it over has not done anything yet."""
    run_id = desk.start(desk.file(many()), batch_rows=4)
    claimed = []
    for _ in range(2):
        with desk.transaction() as session:
            claimed.append(claim_run(session, run_id, seconds=60, now=desk.clock()))
        desk.clock.forward(61)
    stale, ours = claimed
    assert stale is not None
    assert ours is not None
    with desk.transaction() as session:
        assert hold_run(session, ours).claim_version == 2
    with pytest.raises(RunClaimLost), desk.transaction() as session:
        hold_run(session, stale)


@pytest.mark.parametrize("runs", [1, 2])
def test_several_at_once_post_each_row_once(desk: Desk, runs: int) -> None:
    """Four runners on one run, or on two runs of the same file."""
    file = desk.file(many(120))
    ids = [desk.start(file, batch_rows=7, options={"force": True}) for _ in range(runs)]
    ready = Barrier(4)

    def runner(number: int) -> None:
        ready.wait()
        hands = desk.hands(sleep=lambda _: None)
        for turn in [None, *range(400)]:
            if run_batch(hands, ids[number % runs], turn).run.state != "running":
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(runner, range(4)))
    ended = [desk.work(run_id) for run_id in ids]
    assert [run.state for run in ended] == ["done"] * runs
    assert sum(run.posted for run in ended) == 120
    assert sum(run.replayed for run in ended) == 120 * (runs - 1)
    assert len(desk.ledger()) == 240
    assert desk.broken() == []


def test_with_the_lock_taken_the_run_is_left_alone(desk: Desk, redis_url: str) -> None:
    locks = BackfillLocks(redis_url)
    run_id = desk.start(desk.file(many()), batch_rows=10)
    with locks.held(run_id, 60):
        report = run_batch(replace(desk.hands(), locks=locks), run_id)
    assert (report.taken, report.more, report.run.batches) == (True, False, 0)
    assert run_batch(replace(desk.hands(), locks=locks), run_id).run.batches == 1
    locks.close()
