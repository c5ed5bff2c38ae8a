"""What fails for good is one row; what may pass is tried again; what is the database's fault pauses the run."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from models.errors import PostingRaced
from models.ledger.posting import post
from tasks.backfills import policy, rows, service
from tests.integration.backfills.runs import Desk, line
from worker.database import Transaction


@pytest.fixture
def poisoned(owner_transaction: Transaction) -> None:
    """The database refuses whatever is about an owner whose name begins with `bad`."""
    with owner_transaction() as session:
        session.execute(
            text("ALTER TABLE accounts ADD CONSTRAINT poison CHECK (code NOT LIKE 'wallet:bad%')")
        )


def many(count: int, bad: set[int]) -> list[Any]:
    return [line(str(n), f"bad-{n}" if n in bad else f"good-{n % 4}", 10) for n in range(count)]


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("batch_rows", [1, 7, 100])
def test_the_row_that_fails_is_set_aside_and_its_neighbours_are_not(desk: Desk, batch_rows: int) -> None:
    run = desk.run(desk.file(many(40, {3, 20, 21, 39})), batch_rows=batch_rows)
    assert (run.state, run.posted, run.quarantined, run.reasons) == ("done", 36, 4, {"failed": 4})
    assert set(desk.codes(run.id)) == {"5", "22", "23", "41"}
    reasons = {row.reason for row in desk.set_aside(run.id)}
    assert all(
        "IntegrityError" in reason or "CheckViolation" in reason or "23514" in reason for reason in reasons
    )
    assert desk.broken() == []


@pytest.mark.usefixtures("poisoned")
def test_it_is_set_aside_in_the_second_look_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [line("1", "good", -5), line("2", "good", -3, to=""), line("3", "good", 5)]
    run_id = desk.start(desk.file(first), batch_rows=3)
    turn = desk.batch(run_id).run.claim_version
    assert desk.look(run_id).waiting == 2

    def fails_for_five(session: Any, postings: Any, **told: Any) -> Any:
        if any(abs(one.legs[0].amount_minor) == 5 for one in postings):
            raise ZeroDivisionError
        return post(session, postings, **told)

    monkeypatch.setattr(rows, "post", fails_for_five)
    desk.batch(run_id, turn)
    run = desk.work(run_id)
    assert (run.state, run.posted, run.reasons) == ("done", 2, {"failed": 1})
    assert desk.codes(run_id) == {"2": "failed"}


@pytest.mark.usefixtures("poisoned")
def test_when_too_much_fails_somebody_has_a_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "FAILED_ROWS_MAX", 3)
    run_id = desk.start(desk.file(many(8, set(range(8)))))
    for failed in (3, 6):
        run = desk.work(run_id)
        assert (run.state, run.pause_code, run.reasons) == ("paused", "batch_failed", {"failed": failed})
        desk.do(service.resume, run_id)
    assert desk.work(run_id).state == "done"


def test_what_may_pass_is_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [PostingRaced("once"), PostingRaced("twice")]

    def races(*args: Any, **told: Any) -> Any:
        if left:
            raise left.pop()
        return post(*args, **told)

    monkeypatch.setattr(rows, "post", races)
    run = desk.run(desk.file(many(5, set())))
    assert (run.state, run.posted, run.quarantined, run.batches) == ("done", 5, 0, 1)


def test_a_database_that_may_not_be_written_pauses_the_run(
    desk: Desk, owner_transaction: Transaction
) -> None:
    with owner_transaction() as session:
        session.execute(text("REVOKE INSERT ON ledger_transactions FROM ledgerbeat_worker"))
    run_id = desk.start(desk.file(many(5, set())))
    run = desk.work(run_id)
    assert (run.state, run.pause_code, run.rows_read, run.quarantined) == ("paused", "batch_failed", 0, 0)
    with owner_transaction() as session:
        session.execute(text("GRANT INSERT ON ledger_transactions TO ledgerbeat_worker"))
    desk.do(service.resume, run_id)
    assert desk.work(run_id).posted == 5


def test_a_database_that_is_away_leaves_the_run_to_the_tick(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("SELECT 1", None, Exception("gone"))

    run_id = desk.start(desk.file(many(5, set())))
    with monkeypatch.context() as patched:
        patched.setattr(rows, "post", away)
        with pytest.raises(DBAPIError):
            desk.batch(run_id)
    assert (desk.look(run_id).state, service.tick(desk.hands())) == ("running", 0)
    desk.clock.forward(61)
    assert service.tick(desk.hands()) == 1
    [(sent_id, turn, _)] = desk.sent
    assert service.work(desk.hands(), sent_id, turn).run.posted == 5
