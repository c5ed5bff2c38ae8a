"""Runs are paused, resumed, cancelled, and come to an end once."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from models.backfills.runs import find_runs
from models.errors import NotFound
from tasks.backfills import service
from tasks.backfills.rows import RowsFeed
from tasks.backfills.service import NotPossible
from tests.integration.backfills.runs import HISTORY, Desk, line
from worker.database import Transaction
from worker.sources.port import SourceFailed


def rows(count: int) -> list[Any]:
    return [line(str(number), f"owner-{number % 5}", 10) for number in range(count)]


def test_a_run_stops_where_it_is_paused_and_goes_on_from_there(desk: Desk) -> None:
    run_id = desk.start(desk.file(rows(10)), batch_rows=3)
    turn = desk.batch(run_id).run.claim_version
    assert desk.do(service.pause, run_id).stop_asked == "pause"
    assert desk.batch(run_id, turn).run.state == "paused"
    assert (desk.look(run_id).pause_code, desk.look(run_id).rows_read) == ("asked", 3)
    assert desk.batch(run_id).more is False
    desk.do(service.resume, run_id)
    run = desk.work(run_id)
    assert (run.state, run.rows_read, run.posted, run.replayed) == ("done", 10, 10, 0)


def test_a_column_that_the_next_migration_adds_is_left_alone(
    desk: Desk, owner_transaction: Transaction
) -> None:
    """Migrations come before their code: what runs meanwhile is of before."""
    run_id = desk.start(desk.file(rows(10)), batch_rows=3)
    with owner_transaction() as session:
        session.execute(text("ALTER TABLE backfills ADD COLUMN added_later integer NOT NULL DEFAULT 0"))
    service.tick(desk.hands())
    assert desk.work(run_id).posted == 10
    with desk.transaction() as session:
        assert [run.id for run in find_runs(session)] == [run_id]


def test_what_a_cancelled_run_has_posted_stays(desk: Desk) -> None:
    run_id = desk.start(desk.file(rows(10)), batch_rows=3)
    turn = desk.batch(run_id).run.claim_version
    desk.do(service.cancel, run_id)
    run = desk.batch(run_id, turn).run
    assert (run.state, run.rows_read, len(desk.ledger())) == ("cancelled", 3, 6)


def test_what_nobody_works_on_is_stopped_at_once(desk: Desk) -> None:
    first, second = desk.start(desk.file(rows(3))), desk.start(desk.file(rows(4), "b.csv"))
    assert desk.do(service.pause, first).state == "paused"
    assert desk.do(service.cancel, second).state == "cancelled"
    assert desk.ledger() == []


def test_a_claim_that_has_run_out_is_nobodys(desk: Desk) -> None:
    run_id = desk.start(desk.file(rows(9)), batch_rows=3)
    desk.batch(run_id)
    desk.clock.forward(60)
    assert desk.do(service.pause, run_id).state == "paused"


@pytest.mark.parametrize(
    ("command", "state"),
    [
        (service.resume, "pending"),
        (service.resume, "done"),
        (service.pause, "done"),
        (service.cancel, "done"),
    ],
)
def test_what_does_not_fit_the_state_is_refused(desk: Desk, command: Any, state: str) -> None:
    run_id = desk.start(desk.file(rows(3)))
    if state == "done":
        desk.work(run_id)
    with pytest.raises(NotPossible, match=state):
        desk.do(command, run_id)


def test_everything_asked_for_is_audited(desk: Desk) -> None:
    run_id = desk.start(desk.file(rows(3)))
    for command in (service.pause, service.resume, service.cancel):
        desk.do(command, run_id)
    with desk.transaction() as session:
        found = session.execute(
            text("SELECT action, actor, reason FROM audit_events WHERE subject = :subject ORDER BY id"),
            {"subject": f"backfill:{run_id}"},
        ).all()
    assert [row.action for row in found] == [
        "backfills.start",
        "backfills.pause",
        "backfills.resume",
        "backfills.cancel",
    ]
    assert {(row.actor, row.reason) for row in found} == {("ops:dana", "the older wallet moves over")}


def test_the_same_start_twice_is_one_run(desk: Desk) -> None:
    run_id = uuid4()
    file = desk.file(rows(3))
    assert {desk.start(file, id=run_id), desk.start(file, id=run_id)} == {run_id}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"kind": "guesses"}, "a backfill is one of"),
        ({"batch_rows": 0}, "batch_rows"),
        ({"batch_rows": 20_001}, "batch_rows"),
        ({"max_amount_minor": -1}, "negative"),
        ({"options": {"existing": "refuse"}}, "no option existing"),
        ({"options": {"hurry": True}}, "no option hurry"),
        ({"mapping": {"unit": "minor"}}, "columns"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(desk: Desk, told: dict[str, Any], said: str) -> None:
    with pytest.raises((NotPossible, SourceFailed), match=said):
        desk.start(desk.file(rows(1)), **{"mapping": HISTORY, **told})


def test_a_file_that_is_not_there_is_refused_at_once(desk: Desk) -> None:
    with pytest.raises(SourceFailed, match=r"gone\.csv"):
        desk.start(desk.folder / "gone.csv")


def test_a_file_that_went_away_pauses_the_run_until_it_is_back(desk: Desk) -> None:
    file = desk.file(rows(9))
    run_id = desk.start(file, batch_rows=3)
    turn = desk.batch(run_id).run.claim_version
    content = file.read_bytes()
    file.unlink()
    run = desk.batch(run_id, turn).run
    assert (run.state, run.pause_code) == ("paused", "source_failed")
    assert run.last_error is not None
    assert "history.csv" in run.last_error
    file.write_bytes(content)
    desk.do(service.resume, run_id)
    assert desk.work(run_id).posted == 9


def test_another_content_pauses_the_run(desk: Desk) -> None:
    file = desk.file(rows(9))
    run_id = desk.start(file, batch_rows=3)
    turn = desk.batch(run_id).run.claim_version
    desk.file(rows(8))
    run = desk.batch(run_id, turn).run
    assert (run.state, run.pause_code, run.rows_read) == ("paused", "source_changed", 3)


def test_the_same_content_again_needs_force(desk: Desk) -> None:
    first = desk.run(desk.file(rows(5)))
    file = desk.file(rows(5), "copy.csv")
    refused = desk.run(file)
    assert (refused.state, refused.rows_read, refused.source_digest) == ("cancelled", 0, None)
    assert f"backfill {first.id} has taken the same content" in str(refused.last_error)
    assert "start one with --force (in a job options.force)" in str(refused.last_error)
    with pytest.raises(NotPossible, match="cancelled"):
        desk.do(service.resume, refused.id)
    assert desk.run(file, dry_run=True).replayed == 5
    forced = desk.run(file, options={"force": True})
    assert (forced.state, forced.posted, forced.replayed) == ("done", 0, 5)


def test_a_tenant_knows_its_own_runs_alone(desk: Desk) -> None:
    run_id = desk.start(desk.file(rows(3)))
    with pytest.raises(NotFound, match="no backfill"):
        desk.do(service.cancel, run_id, tenant="globex")


@pytest.mark.parametrize(("command", "state"), [(service.pause, "paused"), (service.cancel, "cancelled")])
def test_who_asks_while_a_batch_is_read_is_heard_before_it_is_posted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, command: Any, state: str
) -> None:
    reading, run_id = RowsFeed.read, desk.start(desk.file(rows(10)), batch_rows=3)

    def asked_meanwhile(feed: RowsFeed, run: Any, rows_max: int) -> Any:
        assert desk.do(command, run_id).stop_asked is not None
        return reading(feed, run, rows_max)

    monkeypatch.setattr(RowsFeed, "read", asked_meanwhile)
    assert desk.batch(run_id).run.state == state
    assert (desk.look(run_id).rows_read, desk.ledger()) == (0, [])
