"""Deciding a batch is pure: on locked balances, one posting after another."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ledger.codes import (
    clearing_code,
    held_code,
    house_code,
    may_overdraw,
    suspense_code,
    wallet_code,
)
from models.ledger.deciding import Account, Batch, Decision, Replay, Write, account_keys
from models.ledger.outcomes import AccountKey, Leg, Posting, Refused

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
OWNERS = st.sampled_from(["ada", "bob", "eve"])


def transfer(key: str, from_code: str, to_code: str, amount: int, group: str | None = None) -> Posting:
    legs = (Leg(from_code, "EUR", -amount), Leg(to_code, "EUR", amount))
    return Posting("acme", key, "test", legs, NOON, group=group)


transfers = st.builds(
    transfer,
    st.integers(0, 9).map(str),
    st.one_of(OWNERS.map(wallet_code), st.just(house_code("promo"))),
    OWNERS.map(wallet_code),
    st.integers(1, 20),
)


def opened(postings: list[Posting]) -> dict[AccountKey, Account]:
    return {
        key: Account(number, 0, may_overdraw(key[1]), shadow=False)
        for number, key in enumerate(sorted(account_keys(postings)))
    }


def said(decisions: list[Decision]) -> list[str]:
    names = {Write: "write", Replay: "replay"}
    return [
        decision.code if isinstance(decision, Refused) else names[type(decision)] for decision in decisions
    ]


def balances(batch: Batch) -> dict[AccountKey, int]:
    return {key: account.balance for key, account in batch.accounts.items()}


@given(st.lists(transfers, min_size=1, max_size=12), st.integers(0, 12))
def test_a_batch_decides_as_its_parts_one_after_another_do(postings: list[Posting], cut: int) -> None:
    whole, parts = Batch(opened(postings)), Batch(opened(postings))
    assert said(whole.decide(postings)) == said(parts.decide(postings[:cut]) + parts.decide(postings[cut:]))
    assert balances(whole) == balances(parts)


@given(st.lists(transfers, min_size=1, max_size=12))
def test_money_is_conserved_and_no_wallet_is_overdrawn(postings: list[Posting]) -> None:
    batch = Batch(opened(postings))
    batch.decide(postings)
    assert sum(balances(batch).values()) == 0
    assert all(balance >= 0 for (_, code, _), balance in balances(batch).items() if not may_overdraw(code))


@given(st.lists(transfers, min_size=1, max_size=12))
def test_deciding_again_writes_nothing_that_stands(postings: list[Posting]) -> None:
    batch = Batch(opened(postings))
    first = said(batch.decide(postings))
    before = balances(batch)
    again = said(
        batch.decide([p for p, word in zip(postings, first, strict=True) if word != "insufficient_funds"])
    )
    assert "write" not in again
    assert balances(batch) == before


@given(st.lists(transfers, min_size=1, max_size=6), st.lists(transfers, min_size=1, max_size=6))
def test_a_refused_group_leaves_everything_as_it_was(before: list[Posting], members: list[Posting]) -> None:
    doomed = transfer("doomed", wallet_code("nobody"), wallet_code("ada"), 1)
    group = [replace(posting, group="g") for posting in (*members, doomed)]
    batch = Batch(opened([*before, *group]))
    batch.decide(before)
    stood, held = dict(batch.standing), balances(batch)
    assert "write" not in said(batch.decide(group))
    assert (batch.standing, balances(batch)) == (stood, held)


@given(st.lists(transfers, min_size=1, max_size=8))
def test_a_group_that_stands_is_decided_as_without_it(postings: list[Posting]) -> None:
    alone, grouped = Batch(opened(postings)), Batch(opened(postings))
    apart = said(alone.decide(postings))
    together = said(grouped.decide([replace(posting, group="g") for posting in postings]))
    if set(apart) <= {"write", "replay"}:
        assert together == apart
    else:
        assert "write" not in together


@pytest.mark.parametrize(
    ("code", "spelled", "overdraws"),
    [
        (wallet_code("ada"), "wallet:ada:available", False),
        (held_code("ada"), "wallet:ada:held", False),
        (clearing_code("stripe"), "provider:stripe:clearing", True),
        (house_code("promo"), "house:promo", True),
        (suspense_code("refunds"), "suspense:refunds", True),
        (house_code("wallet:x"), "house:wallet:x", True),
    ],
)
def test_only_wallets_are_kept_from_going_below_zero(code: str, spelled: str, overdraws: bool) -> None:
    assert code == spelled
    assert may_overdraw(code) is overdraws
