"""Stripe: what of a payment stands refunded, by totals and by single refunds, before and after 2024-10-28."""

from itertools import permutations
from typing import Any

import pytest

from tests.integration.stories.conftest import Story
from tests.unit.providers.vendors import BEGAN, NEW_API, OLD_API, Event, charge, refund, stripe_event

PAID = stripe_event("charge.succeeded", charge(), 0)


def total(amount: int, at: int) -> Event:
    subject = charge(amount_refunded=amount, refunded=amount == 10000)
    return stripe_event("charge.refunded", subject, at, api=OLD_API)


def old(refund_id: str, status: str, at: int, amount: int = 4000, **more: Any) -> Event:
    subject = refund(amount, status, id=refund_id, **more)
    return stripe_event("charge.refund.updated", subject, at, api=OLD_API)


def new(type_: str, refund_id: str, status: str, at: int, amount: int = 4000, *, made: int) -> Event:
    subject = refund(amount, status, id=refund_id, created=BEGAN + made)
    return stripe_event(type_, subject, at, api=NEW_API)


CANCELED_THEN_REFUNDED = [PAID, total(10000, 10), old("re_a", "canceled", 11, 10000), total(10000, 12)]
FAILED_BEFORE_ITS_TOTAL = [PAID, old("re_a", "failed", 18), total(4000, 19)]
ONE_OF_TWO_FAILED = [PAID, total(4000, 10), total(8000, 20), old("re_a", "failed", 30)]
AGAIN_AFTER_A_FAILURE = [PAID, total(4000, 10), old("re_a", "failed", 20), total(4000, 30), total(7000, 40)]
BOTH_KINDS = [
    PAID,
    total(4000, 10),
    new("refund.created", "re_a", "succeeded", 10, made=10),
    new("refund.failed", "re_a", "failed", 20, made=10),
    total(3000, 30),
    new("refund.created", "re_b", "succeeded", 30, 3000, made=30),
]
SINGLE_ONES_ONLY = [
    PAID,
    new("refund.created", "re_a", "pending", 10, made=10),
    new("refund.updated", "re_a", "succeeded", 15, made=10),
    new("refund.created", "re_b", "succeeded", 20, 1000, made=20),
    new("refund.failed", "re_a", "failed", 30, made=10),
]
PENDING_IN_THE_TOTAL_AND_VOIDED = [
    PAID,
    total(4000, 10),
    stripe_event("refund.created", refund(4000, "pending", balance_transaction=None, created=BEGAN + 10), 10),
    stripe_event("refund.failed", refund(4000, "failed", balance_transaction=None, created=BEGAN + 10), 90),
]
TOTAL_FALLS_WITHOUT_A_WORD = [PAID, total(4000, 10), total(1500, 20)]
UPDATED_DOWNWARDS = [
    PAID,
    total(4000, 10),
    stripe_event("charge.updated", charge(amount_refunded=0), 20, before={"amount_refunded": 4000}),
]


@pytest.mark.parametrize("turned", ["as told", "backwards", "together", "doubled"])
@pytest.mark.parametrize(
    ("events", "wallet"),
    [
        (CANCELED_THEN_REFUNDED, 0),
        (FAILED_BEFORE_ITS_TOTAL, 6000),
        (ONE_OF_TWO_FAILED, 6000),
        (AGAIN_AFTER_A_FAILURE, 3000),
        (BOTH_KINDS, 7000),
        (SINGLE_ONES_ONLY, 9000),
        (PENDING_IN_THE_TOTAL_AND_VOIDED, 10000),
        (TOTAL_FALLS_WITHOUT_A_WORD, 8500),
        (UPDATED_DOWNWARDS, 10000),
    ],
)
def test_the_wallet_ends_with_what_is_not_refunded(
    stripe: Story, events: list[Event], wallet: int, turned: str
) -> None:
    told = {"backwards": events[::-1], "doubled": [*events, *events[::-1]]}.get(turned, events)
    stripe.hear(*told, together=turned == "together")
    assert (stripe.wallet, stripe.settled()) == (wallet, True)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_canceled_refund_and_a_new_one_end_alike_in_any_order(
    stripe: Story, order: tuple[int, ...]
) -> None:
    stripe.hear(*(CANCELED_THEN_REFUNDED[n] for n in order))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (0, "refunded", True)


@pytest.mark.parametrize("type_", ["refund.failed", "refund.updated", "charge.refund.updated"])
@pytest.mark.parametrize("moved_by", [None, "txn_1"])
def test_a_pending_refund_that_fails_leaves_nothing_waiting(
    stripe: Story, type_: str, moved_by: str | None
) -> None:
    pending = refund(4000, "pending", balance_transaction=moved_by, created=BEGAN + 10)
    failed = {**pending, "status": "failed"}
    stripe.hear(PAID, stripe_event("refund.created", pending, 10), stripe_event(type_, failed, 90))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (10000, "captured", True)


def test_a_pending_refund_that_has_left_stripes_balance_is_taken_at_once(stripe: Story) -> None:
    pending = refund(4000, "pending", created=BEGAN + 10)
    stripe.hear(PAID, stripe_event("refund.created", pending, 10))
    assert stripe.wallet == 6000


def test_what_a_refund_that_succeeds_late_takes_is_taken_once(stripe: Story) -> None:
    """The total counted it when it was made; its success is told days later."""
    stripe.hear(PAID, total(4000, 10), new("refund.updated", "re_a", "succeeded", 400_000, made=10))
    assert stripe.wallet == 6000


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_a_refund_of_a_cash_balance_is_nobodys_deposit(stripe: Story, status: str) -> None:
    cash = refund(500, status, charge=None, payment_intent=None, customer="cus_1")
    stripe.hear(PAID, stripe_event("refund.created", cash, 5), stripe_event("refund.updated", cash, 6))
    assert (stripe.wallet, stripe.settled()) == (10000, True)


def test_more_refunded_than_was_ever_captured_is_for_a_person(stripe: Story) -> None:
    stripe.hear(PAID, new("refund.created", "re_a", "succeeded", 10, 10001, made=10))
    [dead] = stripe.jobs("dead")
    assert dead["last_error"].startswith("exceeds_captured")
    assert stripe.wallet == 10000


def test_a_refund_that_fails_after_the_money_was_spent_again_makes_suspense_good(stripe: Story) -> None:
    stripe.hear(PAID)
    debit = {"owner": "ada", "amount_minor": 9000, "currency": "EUR", "reason": "game"}
    stripe.desk.do("wallets.debit", debit)
    stripe.hear(new("refund.created", "re_a", "succeeded", 10, made=10))
    assert (stripe.wallet, stripe.shortfall) == (0, -3000)
    stripe.hear(new("refund.failed", "re_a", "failed", 20, made=10))
    assert (stripe.wallet, stripe.shortfall) == (1000, 0)


def test_a_bank_refund_that_walks_backwards_is_taken_once_and_given_back_once(stripe: Story) -> None:
    """Accepted, sent, paid, returned by the bank, and failed 45 days later."""

    def told(type_: str, status: str, at: int, moved_by: str | None = "txn_1") -> Event:
        subject = refund(10000, status, balance_transaction=moved_by, created=BEGAN + 5)
        return stripe_event(type_, subject, at)

    stripe.hear(PAID, told("refund.created", "requires_action", 5, None))
    assert stripe.wallet == 10000
    stripe.hear(told("refund.updated", "pending", 6), told("refund.updated", "succeeded", 7))
    assert stripe.wallet == 0
    stripe.hear(told("refund.updated", "requires_action", 8))
    assert stripe.wallet == 0
    stripe.hear(told("refund.failed", "failed", 4_000_000), told("refund.updated", "failed", 4_000_000))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (10000, "captured", True)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("kinds", ["totals", "single", "both"])
def test_three_refunds_are_three_whatever_the_endpoint_listens_to(
    stripe: Story, kinds: str, order: tuple[int, ...]
) -> None:
    amounts, sums = [1000, 500, 8500], [1000, 1500, 10000]
    totals = [total(minor, 10 + n) for n, minor in enumerate(sums)]
    single = [
        new("refund.created", f"re_{n}", "succeeded", 10 + n, amounts[n], made=10 + n) for n in range(3)
    ]
    told = {"totals": totals, "single": single, "both": [*totals, *single]}[kinds]
    rounds = [told[n::3] for n in order]
    stripe.hear(PAID, *(event for one in rounds for event in one))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (0, "refunded", True)


def test_a_refund_that_has_its_balance_transaction_later_is_taken_then(stripe: Story) -> None:
    early = refund(4000, balance_transaction=None, created=BEGAN + 10)
    stripe.hear(PAID, stripe_event("refund.created", early, 10))
    assert stripe.wallet == 10000
    stripe.hear(stripe_event("refund.updated", early | {"balance_transaction": "txn_1"}, 20))
    stripe.hear(stripe_event("refund.updated", early, 10))
    assert (stripe.wallet, stripe.settled()) == (6000, True)
