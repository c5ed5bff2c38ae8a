"""Wallet jobs on a real ledger: who gets what, what is refused, and what repeating changes."""

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.integration.families.desk import Desk, counting_statements


def args(amount_minor: int = 100, owner: str = "ada", **others: Any) -> dict[str, Any]:
    return {"owner": owner, "amount_minor": amount_minor, "currency": "EUR", "reason": "promo", **others}


def transfer(amount_minor: int, source: str = "ada", target: str = "ben") -> dict[str, Any]:
    return {
        "from_owner": source,
        "to_owner": target,
        "amount_minor": amount_minor,
        "currency": "EUR",
        "reason": "gift",
    }


def award(*amounts: int, event: str = "cup", first: int = 1, **others: Any) -> dict[str, Any]:
    awards = [
        {"owner": f"player-{place}", "placement": place, "amount_minor": amount}
        for place, amount in enumerate(amounts, first)
    ]
    return {"event": event, "awards": awards, "currency": "EUR", "reason": "prize", **others}


def test_a_credit_comes_from_the_house_and_a_debit_goes_back_to_it(desk: Desk) -> None:
    [credited] = desk.do("wallets.credit", args(100))
    [debited] = desk.do("wallets.debit", args(30, reason="entry"))
    assert (credited["state"], credited["balance_minor"]) == ("done", 100)
    assert (debited["state"], debited["balance_minor"]) == ("done", 70)
    assert credited["transaction_id"] != debited["transaction_id"]
    assert (desk.wallet(), desk.balance("house:promo"), desk.balance("house:entry")) == (70, -100, 30)


def test_a_debit_beyond_the_wallet_is_refused_and_moves_nothing(desk: Desk) -> None:
    desk.do("wallets.credit", args(100))
    [refused] = desk.do("wallets.debit", args(101))
    assert refused["state"] == "refused"
    assert (refused["code"], refused["currency"], refused["short_minor"]) == ("insufficient_funds", "EUR", 1)
    assert desk.wallet() == 100


def test_jobs_of_one_owner_take_effect_in_the_order_they_were_handed_in(desk: Desk) -> None:
    desk.hand_in("wallets.credit", args(50))
    desk.hand_in("wallets.debit", args(50), args(1))
    desk.hand_in("wallets.credit", args(1))
    desk.hand_in("wallets.debit", args(1))
    desk.drain()
    assert desk.wallet() == 0
    assert desk.counted("wallets.debit") == {
        ("accepted", ""): 3,
        ("done", ""): 2,
        ("refused", "insufficient_funds"): 1,
    }


def test_a_transfer_is_atomic_and_tells_only_the_senders_balance(desk: Desk) -> None:
    desk.do("wallets.credit", args(100))
    done, refused = desk.do("wallets.transfer", transfer(60), transfer(60))
    assert (done["state"], done["balance_minor"]) == ("done", 40)
    assert (refused["state"], refused["code"], refused["short_minor"]) == (
        "refused",
        "insufficient_funds",
        20,
    )
    assert (desk.wallet("ada"), desk.wallet("ben")) == (40, 60)


def test_transfers_to_and_fro_in_one_batch_pay_for_each_other(desk: Desk) -> None:
    desk.do("wallets.credit", args(10))
    answers = desk.do("wallets.transfer", *[transfer(10), transfer(10, "ben", "ada")] * 50)
    assert {one["state"] for one in answers} == {"done"}
    assert (desk.wallet("ada"), desk.wallet("ben")) == (10, 0)


def test_one_owner_has_a_wallet_per_currency(desk: Desk) -> None:
    desk.do("wallets.credit", args(100), args(7, currency="JPY"))
    [refused] = desk.do("wallets.debit", args(8, currency="JPY"))
    assert refused["code"] == "insufficient_funds"
    assert (desk.wallet(), desk.wallet(currency="JPY")) == (100, 7)


def test_a_posting_that_stands_already_is_a_replay_with_the_first_answer(desk: Desk) -> None:
    [first] = desk.do("wallets.credit", args(100), key="k1")
    desk.do("wallets.debit", args(100))
    with desk.transaction() as session:
        session.connection().exec_driver_sql(
            "UPDATE jobs SET state = 'queued', finished_at = NULL WHERE idempotency_key = 'k1'"
        )
    desk.drain()
    [row] = desk.rows("SELECT state, result FROM jobs WHERE idempotency_key = 'k1'")
    assert row["result"] == {"transaction_id": first["transaction_id"], "balance_minor": 100}
    assert desk.counted("wallets.credit")["done", "replayed"] == 1
    assert desk.wallet() == 0


def test_awards_are_paid_once_whichever_job_brings_them(desk: Desk) -> None:
    [first] = desk.do("wallets.award", award(50, 30))
    [again] = desk.do("wallets.award", award(50, 30))
    [more] = desk.do("wallets.award", award(50, 30, 20))
    assert (first["created"], first["replayed"], first["total_minor"]) == (2, 0, 80)
    assert (again["created"], again["replayed"], again["total_minor"]) == (0, 2, 80)
    assert (more["created"], more["replayed"], more["total_minor"]) == (1, 2, 100)
    assert [desk.wallet(f"player-{place}") for place in (1, 2, 3)] == [50, 30, 20]
    assert desk.counted("wallets.award") == {("accepted", ""): 3, ("done", ""): 2, ("done", "replayed"): 1}
    keys = desk.rows("SELECT idempotency_key AS key FROM ledger_transactions ORDER BY id")
    assert keys[0]["key"] == "award:cup:1:player-1"


def test_colons_in_names_make_no_two_awards_the_same(desk: Desk) -> None:
    """Unescaped, both would be `award:cup:1:1:ada`."""
    named = {"currency": "EUR", "reason": "prize"}
    won = {"placement": 1, "amount_minor": 50}
    answers = desk.do(
        "wallets.award",
        {**named, "event": "cup:1", "awards": [{**won, "owner": "ada"}]},
        {**named, "event": "cup", "awards": [{**won, "owner": "1:ada"}]},
        {**named, "event": "cup%3A1", "awards": [{**won, "owner": "ada"}]},
    )
    assert [one["state"] for one in answers] == ["done", "done", "done"]
    assert (desk.wallet("ada"), desk.wallet("1:ada")) == (100, 50)


def test_awards_that_stand_with_another_amount_refuse_the_whole_job(desk: Desk) -> None:
    desk.do("wallets.award", award(50, 30))
    [refused] = desk.do("wallets.award", award(51, 31, 20))
    assert (refused["state"], refused["code"], refused["awards"]) == ("refused", "idempotency_conflict", 2)
    assert desk.wallet("player-3") == 0


def test_a_refused_award_job_does_not_take_its_neighbours_with_it(desk: Desk) -> None:
    desk.do("wallets.award", award(50))
    answers = desk.do("wallets.award", award(10, event="a"), award(51, 5), award(10, event="b"))
    assert [one["state"] for one in answers] == ["done", "refused", "done"]
    assert (desk.wallet("player-1"), desk.wallet("player-2")) == (70, 0)


def test_ten_thousand_awards_in_one_job(desk: Desk) -> None:
    [done] = desk.do("wallets.award", award(*range(1, 10_001)))
    assert (done["created"], done["total_minor"]) == (10_000, 50_005_000)
    assert (desk.wallet("player-10000"), desk.balance("house:prize")) == (10_000, -50_005_000)


@pytest.mark.parametrize("name", ["wallets.credit", "wallets.debit", "wallets.transfer", "wallets.award"])
def test_a_run_costs_the_same_statements_for_1_and_200_jobs(desk: Desk, engine: Engine, name: str) -> None:
    desk.do("wallets.credit", args(10**6))
    desk.do("wallets.award", award(1, event="warm"))
    desk.do("wallets.transfer", transfer(1))
    sent = []
    for jobs in (range(1), range(1, 201)):
        desk.hand_in(name, *(_one_of(name, number) for number in jobs))
        with counting_statements(engine) as statements:
            desk.drain()
        sent.append(len(statements))
    assert sent[0] == sent[1]


def _one_of(name: str, number: int) -> dict[str, Any]:
    if name == "wallets.award":
        return award(1, event=f"event-{number}")
    return transfer(1) if name == "wallets.transfer" else args(1)
