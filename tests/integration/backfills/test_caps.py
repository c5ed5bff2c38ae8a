"""A run never moves more than it may, to the cent, and stops right before the row that would."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.backfills.runs import Run
from tasks.backfills import service
from tests.integration.backfills.generated import Desks, Line, lines
from tests.integration.backfills.runs import Desk, line


def test_the_row_that_would_pass_the_cap_is_the_next(desk: Desk) -> None:
    file = desk.file([line(str(number), "ada", 10) for number in range(10)])
    run_id = desk.start(file, max_amount_minor=35, batch_rows=4)
    run = desk.work(run_id)
    assert (run.state, run.pause_code, run.rows_read, run.posted_minor("EUR")) == (
        "paused",
        "cap_reached",
        3,
        30,
    )
    desk.do(service.resume, run_id, max_amount_minor=60)
    run = desk.work(run_id)
    assert (run.state, run.rows_read, run.posted_minor("EUR")) == ("paused", 6, 60)
    desk.do(service.resume, run_id, max_amount_minor=1000)
    run = desk.work(run_id)
    assert (run.state, run.rows_read, run.posted, run.replayed, desk.balance("ada")) == (
        "done",
        10,
        10,
        0,
        100,
    )


def test_resuming_with_the_same_cap_moves_nothing(desk: Desk) -> None:
    run_id = desk.start(desk.file([line("1", "ada", 40), line("2", "ada", 1)]), max_amount_minor=35)
    for _ in range(3):
        run = desk.work(run_id)
        assert (run.pause_code, run.rows_read, run.posted) == ("cap_reached", 0, 0)
        desk.do(service.resume, run_id)
    assert desk.ledger() == []


def test_each_currency_has_the_cap_to_itself_and_replays_cost_nothing(desk: Desk) -> None:
    euros = [line(str(number), "ada", 10) for number in range(3)]
    desk.run(desk.file(euros))
    dollars = [line(f"d{number}", "ada", 10, currency="USD") for number in range(3)]
    run = desk.run(desk.file([*euros, *dollars, line("e", "ada", 30)], "more.csv"), max_amount_minor=30)
    assert (run.state, run.posted, run.replayed) == ("done", 4, 3)


def test_the_cap_holds_in_the_second_look(desk: Desk) -> None:
    late = [line("1", "ada", -10), line("2", "ada", -10), line("3", "ada", -10), line("4", "ada", 100)]
    run_id = desk.start(desk.file(late), max_amount_minor=115, batch_rows=2)
    run = desk.work(run_id)
    assert (run.pause_code, run.phase, run.posted, run.waiting) == ("cap_reached", "second_look", 2, 2)
    desk.do(service.resume, run_id, max_amount_minor=200)
    assert (desk.work(run_id).posted, desk.balance("ada")) == (4, 70)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=lines(),
    batch_rows=st.integers(1, 9),
    first=st.integers(0, 120),
    raises=st.lists(st.integers(0, 150)),
)
def test_no_cap_is_ever_passed(
    desks: Desks, rows: list[Line], batch_rows: int, first: int, raises: list[int]
) -> None:
    """And with it raised far enough the ledger is the one that a run without a cap makes."""
    with desks() as free, desks() as bound:
        free.run(free.file(rows), batch_rows=batch_rows)
        run_id, cap = bound.start(bound.file(rows), batch_rows=batch_rows, max_amount_minor=first), first
        check(bound, bound.work(run_id), cap)
        for more in [*raises, 1_000_000]:
            if bound.look(run_id).state == "paused":
                cap += more
                bound.do(service.resume, run_id, max_amount_minor=cap)
                check(bound, bound.work(run_id), cap)
        assert bound.look(run_id).state == "done"
        assert bound.ledger() == free.ledger()


def check(desk: Desk, run: Run, cap: int) -> None:
    for currency in ("EUR", "USD"):
        moved = sum(amount for *_, found, amount in desk.ledger() if found == currency and amount > 0)
        assert moved == run.posted_minor(currency) <= cap
    assert desk.broken() == []
