"""The next rows are read while a batch is written: used by whose turn it is, and by nobody else."""

from threading import Thread, current_thread, main_thread
from typing import Any

import pytest

from models.errors import PostingRaced
from models.ledger.posting import post
from tasks.backfills import ahead, rows, service
from tasks.backfills.ahead import ReadAhead
from tasks.backfills.batch import run_batch
from tests.integration.backfills.runs import Desk, Line, line
from tests.waiting import until
from worker.sources.port import SourceFailed

Reading = tuple[int, bool]
"""For whose turn, and whether the batch did it itself."""


class NoThread(Thread):
    """As where the machine has none left."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    """Every page that was read."""
    seen: list[Reading] = []
    reading = rows.RowsFeed.read

    def counted(feed: Any, run: Any, rows_max: int) -> Any:
        seen.append((run.claim_version, current_thread() is main_thread()))
        return reading(feed, run, rows_max)

    monkeypatch.setattr(rows.RowsFeed, "read", counted)
    return seen


def lines(count: int) -> list[Line]:
    return [line(str(number), f"owner-{number % 3}", 10) for number in range(count)]


def test_what_was_read_ahead_is_used_by_the_next_turn_alone(desk: Desk, read: list[Reading]) -> None:
    hands = desk.hands()
    run_id = desk.start(desk.file(lines(50)), batch_rows=10)
    turn = run_batch(hands, run_id).run.claim_version
    turn = run_batch(hands, run_id, turn).run.claim_version
    desk.do(service.pause, run_id)
    run_batch(hands, run_id, turn)
    desk.do(service.resume, run_id)
    assert service.run_to_end(hands, run_id).posted == 50
    until(lambda: (3, False) in read, what="the page that nobody uses")
    assert sorted(read) == [(1, True), (2, False), (3, False), (5, True), (6, False), (7, False)]


def test_a_source_that_fails_while_it_is_read_ahead_fails_its_own_batch(desk: Desk) -> None:
    """The one that was under way is done."""
    path = desk.file(lines(30), name="history.csv")
    hands, run_id = desk.hands(), desk.start(path, batch_rows=10)
    begin = ReadAhead._begin

    def removed_before(*told: Any) -> None:
        path.unlink(missing_ok=True)
        begin(*told)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReadAhead, "_begin", removed_before)
        report = run_batch(hands, run_id)
    assert (report.run.state, report.run.posted) == ("running", 10)
    run = service.run_to_end(hands, run_id)
    assert (run.state, run.pause_code, run.posted) == ("paused", "source_failed", 10)


def test_a_source_that_was_away_while_it_was_read_ahead_stops_nobody(
    desk: Desk, read: list[Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = rows.RowsFeed.read

    def away(feed: Any, run: Any, rows_max: int) -> Any:
        portion = reading(feed, run, rows_max)
        if current_thread() is not main_thread():
            raise SourceFailed("the older database cannot be reached")
        return portion

    monkeypatch.setattr(rows.RowsFeed, "read", away)
    run = desk.run(desk.file(lines(30)), batch_rows=10)
    assert (run.state, run.posted) == ("done", 30)
    assert sorted(read) == [(1, True), (2, False), (2, True), (3, False), (3, True)]


def test_what_was_read_before_a_pause_is_not_used_after_it(desk: Desk, read: list[Reading]) -> None:
    """Nobody brought the turn meanwhile. Of a query's rows it may be those that the pause was for."""
    hands, run_id = desk.hands(), desk.start(desk.file(lines(30)), batch_rows=10)
    turn = run_batch(hands, run_id).run.claim_version
    desk.clock.forward(61)
    assert desk.do(service.pause, run_id).state == "paused"
    desk.do(service.resume, run_id)
    run_batch(hands, run_id, turn)
    until(lambda: (2, False) in read, what="the page that nobody uses")
    assert (3, True) in read
    assert service.run_to_end(hands, run_id).posted == 30


def test_without_a_thread_each_batch_reads_for_itself(
    desk: Desk, read: list[Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "Thread", NoThread)
    run = desk.run(desk.file(lines(30)), batch_rows=10)
    assert (run.state, run.posted, run.quarantined) == ("done", 30, 0)
    assert read == [(1, True), (2, True), (3, True)]


def test_a_batch_that_is_written_again_reads_ahead_once(
    desk: Desk, read: list[Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    raced = [PostingRaced("once"), PostingRaced("twice")]

    def races(*told: Any, **more: Any) -> Any:
        outcomes = post(*told, **more)
        if raced:
            raise raced.pop()
        return outcomes

    monkeypatch.setattr(rows, "post", races)
    assert desk.run(desk.file(lines(20)), batch_rows=10).posted == 20
    assert sorted(read) == [(1, True), (2, False)]


def test_of_a_batch_that_the_cap_cuts_nothing_is_used_and_nothing_kept(
    desk: Desk, read: list[Reading]
) -> None:
    hands = desk.hands()
    run_id = desk.start(desk.file(lines(30)), batch_rows=10, max_amount_minor=45)
    assert service.run_to_end(hands, run_id).pause_code == "cap_reached"
    assert hands.ahead.pages == 0
    desk.do(service.resume, run_id, max_amount_minor=300)
    assert service.run_to_end(hands, run_id).posted == 30
    until(lambda: (2, False) in read, what="the page that nobody uses")
    assert (3, True) in read
    assert len(desk.ledger()) == 60


def test_a_run_that_is_cancelled_between_two_batches_keeps_nothing(desk: Desk) -> None:
    hands, run_id = desk.hands(), desk.start(desk.file(lines(30)), batch_rows=10)
    turn = run_batch(hands, run_id).run.claim_version
    assert hands.ahead.pages == 1
    desk.do(service.cancel, run_id)
    run_batch(hands, run_id, turn)
    assert hands.ahead.pages == 0
