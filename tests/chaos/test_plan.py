"""The plan of a run: all of it from the seed, and every kind of trouble in it."""

from collections import Counter
from random import Random

import pytest

from tests.chaos.mix import TIMES_TOLD, make_mix
from tests.chaos.model import Account, Books, wallet
from tests.chaos.schedule import long_faults, make_schedule

TENANTS = ("one", "two", "three", "four")
SEEDS = [1, 2, 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seed_alone_decides_jobs_and_faults(seed: int) -> None:
    one, other = make_mix(seed, 1000, TENANTS), make_mix(seed, 1000, TENANTS)
    assert (one.jobs, one.couriers, one.books.balances) == (other.jobs, other.couriers, other.books.balances)
    assert make_schedule(seed, short=False) == make_schedule(seed, short=False)
    assert one.jobs != make_mix(seed + 1, 1000, TENANTS).jobs
    assert make_schedule(seed, short=False) != make_schedule(seed + 1, short=False)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("jobs", [2000, 20000])
def test_the_mix_has_as_many_jobs_as_asked_for_of_every_kind(seed: int, jobs: int) -> None:
    mix = make_mix(seed, jobs, TENANTS)
    assert len(mix.jobs) + len(mix.events) == jobs
    keys = {(one.tenant, one.key) for one in mix.jobs}
    assert len(keys) == len(mix.jobs)
    assert {one.door for one in mix.jobs} == {"http", "sql", "celery"}
    assert {(one.name, one.code) for one in mix.jobs} == {
        ("wallets.credit", None),
        ("wallets.debit", None),
        ("wallets.debit", "insufficient_funds"),
        ("wallets.transfer", None),
        ("wallets.transfer", "insufficient_funds"),
        ("wallets.award", None),
        ("policies.set", None),
        ("deposits.expect", None),
        ("deposits.expect", "limit_exceeded"),
    }
    assert {(one.provider, one.move, one.known) for one in mix.events} >= {
        (provider, move, True)
        for provider in ("sandbox", "stripe", "adyen")
        for move in ("captured", "refunded", "failed")
    }
    assert not all(one.known for one in mix.events)


def test_every_webhook_is_told_three_times_among_four_couriers() -> None:
    mix = make_mix(1, 2000, TENANTS)
    told = Counter(one for courier in mix.couriers for one in courier)
    assert len(mix.couriers) == 4
    assert set(told.values()) == {TIMES_TOLD}
    assert any(len({one in set(courier) for courier in mix.couriers}) == 2 for one in mix.events)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_wallet_of_the_reference_is_below_zero_and_no_money_is_made(seed: int) -> None:
    balances = make_mix(seed, 2000, TENANTS).books.balances
    assert min(minor for account, minor in balances.items() if account.code.startswith("wallet:")) >= 0
    sums = Counter[tuple[str, str]]()
    for account, minor in balances.items():
        sums[account.tenant, account.currency] += minor
    assert set(sums.values()) == {0}


def test_the_reference_refuses_what_a_wallet_does_not_have() -> None:
    books = Books()
    assert books.move("one", "house:gift", wallet("ada"), "EUR", 5)
    assert not books.move("one", wallet("ada"), "house:gift", "EUR", 6)
    assert not books.move("two", wallet("ada"), "house:gift", "EUR", 1)
    assert books.balances[Account("one", wallet("ada"), "EUR")] == 5


@pytest.mark.parametrize("seed", range(20))
def test_a_long_schedule_meets_every_kind_of_fault_and_never_the_same_server_twice_at_once(seed: int) -> None:
    schedule = make_schedule(seed, short=False)
    kinds = {fault.name for fault in long_faults(Random(seed))}  # noqa: S311 - draws a victim, guards nothing
    assert {fault.name for strike in schedule for fault in strike.faults} == kinds
    assert all(len({fault.struck for fault in strike.faults}) == len(strike.faults) for strike in schedule)
    assert sum(strike.seconds for strike in schedule) < 400


@pytest.mark.parametrize("seed", range(20))
def test_a_short_schedule_is_five_strikes_within_half_a_minute(seed: int) -> None:
    schedule = make_schedule(seed, short=True)
    assert len(schedule) == 5
    assert sum(strike.seconds for strike in schedule) < 20
