"""Opening balances: once per owner and currency, never on top of what the ledger knows already."""

from datetime import UTC, datetime
from typing import Any

import pytest

from models.backfills.runs import Run
from models.ledger.outcomes import Leg, Posting
from models.ledger.posting import post
from tasks.backfills import openings
from tests.integration.backfills.runs import BALANCES, NOON, Desk, line

EARLY, LATE = datetime(2024, 12, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)
"""Before and after what `line` is dated."""
DIFFERENCE = {"existing": "difference"}


def opened(desk: Desk, *balances: tuple[str, int], name: str = "balances.csv", **more: Any) -> Run:
    lines = [line("", owner, amount) for owner, amount in balances]
    return desk.run(desk.file(lines, name), BALANCES, kind="opening_balances", **more)


def moved(desk: Desk, amount: int, at: datetime, key: str = "live", owner: str = "ada") -> None:
    legs = (Leg("house:promo", "EUR", -amount), Leg(f"wallet:{owner}:available", "EUR", amount))
    with desk.transaction() as session:
        post(session, [Posting(desk.tenant, key, "wallet.credit", legs, at)], now=NOON)


def test_each_owner_gets_what_they_had(desk: Desk) -> None:
    run = opened(desk, ("ada", 100), ("bob", 0), ("cy", 7))
    assert (run.state, run.posted, run.unchanged, run.money) == ("done", 2, 1, {"EUR": {"posted": 107}})
    assert [row[:3] + row[4:] for row in desk.ledger() if row[6] > 0] == [
        (
            "opening:legacy:ada:EUR",
            "backfill.opening",
            "opening:legacy:ada:EUR",
            "wallet:ada:available",
            "EUR",
            100,
        ),
        (
            "opening:legacy:cy:EUR",
            "backfill.opening",
            "opening:legacy:cy:EUR",
            "wallet:cy:available",
            "EUR",
            7,
        ),
    ]
    assert desk.broken() == []


@pytest.mark.parametrize("options", [{}, DIFFERENCE])
def test_the_same_again_is_a_replay_and_another_amount_a_conflict(
    desk: Desk, options: dict[str, str]
) -> None:
    opened(desk, ("ada", 100), ("bob", 50), options=options)
    run = opened(desk, ("ada", 100), ("bob", 51), ("ada", 99), ("bob", 0), name="b.csv", options=options)
    assert (run.posted, run.replayed, run.quarantined) == (0, 1, 3)
    assert set(desk.codes(run.id).values()) == {"conflict"}
    assert (desk.balance("ada"), desk.balance("bob")) == (100, 50)


def test_who_has_moved_before_then_is_set_aside(desk: Desk) -> None:
    moved(desk, 5, EARLY)
    moved(desk, 5, LATE, key="bob", owner="bob")
    run = opened(desk, ("ada", 100), ("bob", 50))
    assert (run.posted, run.quarantined, desk.codes(run.id)) == (1, 1, {"2": "already_moved"})
    assert (desk.balance("ada"), desk.balance("bob")) == (5, 55)


def test_a_replay_stays_one_whatever_was_told_since(desk: Desk) -> None:
    opened(desk, ("ada", 100))
    moved(desk, 5, EARLY)
    run = opened(desk, ("ada", 100), options={"force": True})
    assert (run.replayed, run.quarantined) == (1, 0)


def test_the_difference_is_what_is_lacking(desk: Desk) -> None:
    moved(desk, 30, EARLY)
    moved(desk, 5, LATE, key="later")
    moved(desk, 40, EARLY, key="bob", owner="bob")
    moved(desk, 9, EARLY, key="cy", owner="cy")
    run = opened(desk, ("ada", 100), ("bob", 15), ("cy", 9), options=DIFFERENCE)
    assert (run.posted, run.unchanged, run.money) == (2, 1, {"EUR": {"posted": 95}})
    assert (desk.balance("ada"), desk.balance("bob"), desk.balance("cy")) == (105, 15, 9)


def test_money_on_hold_is_the_owners(desk: Desk) -> None:
    moved(desk, 30, EARLY)
    legs = (Leg("wallet:ada:available", "EUR", -20), Leg("wallet:ada:held", "EUR", 20))
    with desk.transaction() as session:
        post(session, [Posting(desk.tenant, "hold", "payout.hold", legs, EARLY)], now=NOON)
    run = opened(desk, ("ada", 30), options=DIFFERENCE)
    assert (run.unchanged, run.posted) == (1, 0)


@pytest.mark.parametrize("options", [{}, DIFFERENCE])
def test_a_dry_run_says_the_same(desk: Desk, options: dict[str, str]) -> None:
    moved(desk, 30, EARLY)
    rows = [("ada", 100), ("bob", 5), ("bob", 5), ("bob", 6), ("cy", -3)]
    dry = opened(desk, *rows, dry_run=True, options=options)
    real = opened(desk, *rows, options=options)
    assert (dry.posted, dry.replayed, dry.reasons, dry.money) == (
        real.posted,
        real.replayed,
        real.reasons,
        real.money,
    )


def test_the_cap_counts_what_is_posted(desk: Desk) -> None:
    moved(desk, 90, EARLY)
    run = opened(desk, ("ada", 100), ("bob", 5), options=DIFFERENCE, max_amount_minor=14)
    assert (run.pause_code, run.posted) == ("cap_reached", 1)


def test_who_moves_while_the_balance_is_posted_is_looked_at_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The facts are read before the accounts are locked: another transaction may be in between."""
    judge = openings.judge_openings
    raced: list[int] = []

    def and_then_somebody_moves(*told: Any) -> Any:
        found = judge(*told)
        if not raced:
            raced.append(1)
            moved(desk, 30, EARLY)
        return found

    monkeypatch.setattr("tasks.backfills.rows.judge_openings", and_then_somebody_moves)
    run = opened(desk, ("ada", 100), options=DIFFERENCE)
    assert (run.posted, run.money, desk.balance("ada")) == (1, {"EUR": {"posted": 70}}, 100)
