"""The plan of the second battle: all of it from the seed, and every fault of the provider in it."""

import pytest

from ops.sandbox.faults import RULES, parse_fault
from tests.chaos.payday import ENDS, make_orders, make_strikes, wallets_before

SEEDS = [1, 2, 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seed_alone_decides_payouts_and_faults(seed: int) -> None:
    assert make_orders(seed, 300) == make_orders(seed, 300)
    assert make_orders(seed, 300) != make_orders(seed + 1, 300)
    assert make_strikes(seed, short=False) == make_strikes(seed, short=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_short_run_meets_every_fault_and_every_decision(seed: int) -> None:
    orders = make_orders(seed, 300)
    assert {order.fault for order in orders} == {"", *ENDS}
    assert {order.decision for order in orders} == {"", "approve", "reject", "cancel"}
    assert {strike.name for strike in make_strikes(seed, short=True)} >= {"redis flushed", "worker killed"}
    assert sum(wallets_before(orders).values()) == sum(order.amount_minor for order in orders)


def test_every_fault_of_the_provider_is_among_them() -> None:
    assert {parse_fault(fault).name for fault in ENDS} == set(RULES)


def test_what_is_rejected_or_called_off_may_end_so() -> None:
    orders = make_orders(1, 2000)
    assert {order.ends for order in orders if order.decision == "reject"} == {frozenset({"cancelled"})}
    assert all("cancelled" in order.ends for order in orders if order.decision == "cancel")
    assert not any("cancelled" in order.ends for order in orders if order.decision in ("", "approve"))
