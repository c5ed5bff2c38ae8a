"""A row whose time is none at which anything can have happened is not posted at another time: it is set aside."""

from datetime import timedelta

import pytest

from tests.integration.backfills.runs import BALANCES, HISTORY, NOON, Desk, Line

FOUR_MINUTES, SIX_MINUTES = timedelta(minutes=4), timedelta(minutes=6)


def moved_at(row_id: str, at: str) -> Line:
    return (row_id, "ada", "", 100, "EUR", at)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_time_in_the_future_or_before_all_payments_is_set_aside(desk: Desk, dry_run: bool) -> None:
    lines = [
        moved_at("soon", (NOON + FOUR_MINUTES).isoformat()),
        moved_at("later", (NOON + SIX_MINUTES).isoformat()),
        moved_at("forever", "9999-12-31T23:59:59Z"),
        moved_at("first", "1970-01-01T00:00:00Z"),
        moved_at("before", "1969-12-31T23:59:59Z"),
        moved_at("nothing", "0001-01-01T00:00:00Z"),
    ]
    run = desk.run(desk.file(lines), HISTORY, dry_run=dry_run)
    assert (run.state, run.posted, run.quarantined) == ("done", 2, 4)
    assert run.reasons == {"future_time": 2, "ancient_time": 2}
    assert desk.balance("ada") == (0 if dry_run else 200)


def test_a_balance_of_tomorrow_is_set_aside(desk: Desk) -> None:
    told = [moved_at("1", (NOON + timedelta(days=1)).isoformat()), moved_at("2", NOON.isoformat())]
    run = desk.run(desk.file(told), BALANCES, kind="opening_balances")
    assert (run.posted, run.reasons, desk.balance("ada")) == (1, {"future_time": 1}, 100)


def test_a_row_that_came_too_early_is_taken_when_its_time_has_come(desk: Desk) -> None:
    path = desk.file([moved_at("later", (NOON + SIX_MINUTES).isoformat())])
    assert desk.run(path).posted == 0
    desk.clock.forward(600)
    assert desk.run(path, options={"force": True}).posted == 1
    assert desk.broken() == []
