"""A run never moves more than it may, to the cent, and stops right before the row that would."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.backfills.runs import Run
from tasks.backfills import service
from tasks.backfills.service import NotPossible
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
    assert run.last_error == (
        "line 5 would move 0.10 EUR; 0.30 EUR were moved before it, and the cap is 0.35 EUR (35 minor units of each "
        "currency). It goes on with --max-amount-minor 40 or more"
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


def test_the_cap_that_stopped_a_run_is_refused_and_the_least_that_is_told_is_enough(desk: Desk) -> None:
    run_id = desk.start(desk.file([line("1", "ada", 40), line("2", "ada", 1)]), max_amount_minor=35)
    for least, posted in ((40, 0), (41, 1)):
        run = desk.work(run_id)
        assert (run.pause_code, run.rows_read, run.posted) == ("cap_reached", posted, posted)
        for same in (None, run.max_amount_minor):
            with pytest.raises(NotPossible, match=rf"--max-amount-minor {least} or more\. Give a higher one"):
                desk.do(service.resume, run_id, max_amount_minor=same)
        assert desk.look(run_id) == run
        desk.do(service.resume, run_id, max_amount_minor=least)
    assert (desk.work(run_id).state, desk.balance("ada")) == ("done", 41)


def test_a_cap_that_is_higher_and_too_low_stops_it_again(desk: Desk) -> None:
    run_id = desk.start(desk.file([line("1", "ada", 40)]), max_amount_minor=35)
    desk.work(run_id)
    desk.do(service.resume, run_id, max_amount_minor=39)
    run = desk.work(run_id)
    assert (run.pause_code, run.rows_read, desk.ledger()) == ("cap_reached", 0, [])
    assert "the cap is 0.39 EUR" in str(run.last_error)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_the_currency_that_came_to_its_cap_is_told(desk: Desk, dry_run: bool, batch_rows: int) -> None:
    """Its own minor units, what it has moved, in whichever batch, and no other currency's."""
    rows = [line(str(n), "ada", 1000 + n, currency=("EUR", "JPY", "BHD")[n % 3]) for n in range(9)]
    run = desk.run(desk.file(rows), max_amount_minor=2006, batch_rows=batch_rows, dry_run=dry_run)
    were = "would have been" if dry_run else "were"
    assert run.last_error == (
        f"line 7 would move 1.005 BHD; 1.002 BHD {were} moved before it, and the cap is 2.006 BHD (2006 minor units of "
        "each currency). It goes on with --max-amount-minor 2007 or more"
    )


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
    assert str(run.last_error).startswith("line 3 would move 0.10 EUR; 1.10 EUR were moved before it")
    desk.do(service.resume, run_id, max_amount_minor=200)
    assert (desk.work(run_id).posted, desk.balance("ada")) == (4, 70)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=lines(),
    batch_rows=st.integers(1, 9),
    first=st.integers(0, 120),
    raises=st.lists(st.integers(1, 150)),
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
