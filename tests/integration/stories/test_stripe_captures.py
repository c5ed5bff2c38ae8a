"""Stripe: what was captured, in one or several parts, of an authorisation that may be released or come back."""

from itertools import permutations
from typing import Any

import pytest

from tests.integration.stories.conftest import Story
from tests.unit.providers.vendors import (
    NEW_API,
    OLD_API,
    Event,
    charge,
    dispute,
    intent,
    refund,
    stripe_event,
)

AUTHORISED = stripe_event("charge.succeeded", charge(taken=0), 0)


def captured(amount: int, at: int = 1, *, before: int = 0, released: int = 0, api: str = NEW_API) -> Event:
    """A capture that is told as the last one; `released` went back unpaid."""
    subject = charge(taken=amount, amount_refunded=released)
    return stripe_event("charge.captured", subject, at, api=api, before={"amount_captured": before})


RELEASED = refund(4000, balance_transaction=None)
PARTIAL = [
    AUTHORISED,
    captured(6000, released=4000),
    stripe_event("refund.created", RELEASED, 2),
    stripe_event("charge.refunded", charge(taken=6000, amount_refunded=4000), 3),
]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_rest_that_a_partial_capture_releases_moves_nothing(
    stripe: Story, order: tuple[int, ...]
) -> None:
    stripe.hear(*(PARTIAL[n] for n in order), together=True)
    assert (stripe.wallet, stripe.state, stripe.settled()) == (6000, "captured", True)


@pytest.mark.parametrize("type_", ["charge.refund.updated", "refund.updated", "refund.created"])
@pytest.mark.parametrize("status", ["succeeded", "pending", "failed", "canceled"])
def test_a_refund_object_without_balance_transaction_moved_no_money(
    stripe: Story, type_: str, status: str
) -> None:
    released = stripe_event(type_, refund(4000, status, balance_transaction=None), 2, api=OLD_API)
    stripe.hear(captured(6000, released=4000, api=OLD_API), released)
    assert (stripe.wallet, stripe.settled()) == (6000, True)


def test_a_refund_after_a_partial_capture_is_taken_beside_the_released_rest(stripe: Story) -> None:
    stripe.hear(*PARTIAL)
    real = refund(1000, id="re_2", balance_transaction="txn_2", created=1790000010)
    total = charge(taken=6000, amount_refunded=5000)
    stripe.hear(stripe_event("charge.refunded", total, 10), stripe_event("refund.created", real, 10))
    assert (stripe.wallet, stripe.state) == (5000, "captured")


def more(amount: int, before: int, at: int, **others: Any) -> Event:
    """A capture that more may follow: `charge.updated` with what it was before."""
    previous = {"amount_captured": before}
    return stripe_event("charge.updated", charge(taken=amount, **others), at, before=previous)


MULTICAPTURE = [AUTHORISED, captured(3000), more(7000, 3000, 2), captured(7000, 3, before=3000)]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_captures_of_one_charge_add_up_in_any_order(stripe: Story, order: tuple[int, ...]) -> None:
    stripe.hear(*(MULTICAPTURE[n] for n in order))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (7000, "captured", True)


def test_captures_that_only_updates_tell_of_add_up_while_the_charge_is_open(stripe: Story) -> None:
    """`captured` stays false until the final capture."""
    stripe.hear(more(3000, 0, 1, captured=False), more(5000, 3000, 2, captured=False))
    assert stripe.wallet == 5000
    stripe.hear(captured(10000, 3, before=5000))
    assert (stripe.wallet, stripe.settled()) == (10000, True)


def test_a_final_capture_of_less_releases_the_rest(stripe: Story) -> None:
    stripe.hear(more(3000, 0, 1), captured(7000, 2, before=3000, released=3000))
    released = refund(3000, balance_transaction=None)
    stripe.hear(
        stripe_event("refund.created", released, 2),
        stripe_event("charge.refunded", charge(taken=7000, amount_refunded=3000), 2),
    )
    assert (stripe.wallet, stripe.state, stripe.settled()) == (7000, "captured", True)


def test_an_update_tells_of_a_capture_without_saying_that_it_changed(stripe: Story) -> None:
    """The first of several captures changes `balance_transaction`, as far as `previous_attributes` say."""
    first = charge(taken=3000, captured=False)
    stripe.hear(AUTHORISED, stripe_event("charge.updated", first, 1, before={"balance_transaction": None}))
    assert stripe.wallet == 3000


@pytest.mark.parametrize("more", [{"status": "failed"}, {"status": "pending"}, {"amount_captured": 0}])
def test_an_update_of_what_took_no_money_captures_nothing(stripe: Story, more: Event) -> None:
    stripe.hear(stripe_event("charge.updated", charge(**more), 1, before={"description": None}))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (0, "expected", True)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_rest_of_several_captures_is_in_no_refund_total(stripe: Story, order: tuple[int, ...]) -> None:
    """70 and 20 of 100 captured, the rest released without a trace; then 20 refunded."""
    told = [
        stripe_event("charge.updated", charge(taken=7000, captured=False), 1),
        stripe_event("charge.captured", charge(taken=9000), 2),
        stripe_event("refund.created", refund(2000, created=1_790_000_010), 10),
        stripe_event("charge.refunded", charge(taken=9000, amount_refunded=2000), 10),
    ]
    stripe.hear(*(told[n] for n in order))
    assert (stripe.wallet, stripe.settled()) == (7000, True)


def test_more_is_captured_than_was_authorised(stripe: Story) -> None:
    stripe.hear(AUTHORISED, stripe_event("charge.captured", charge(taken=11500), 1))
    assert (stripe.wallet, stripe.settled()) == (11500, True)


VOID = [
    AUTHORISED,
    stripe_event("refund.created", refund(10000, balance_transaction=None), 2),
    stripe_event("charge.refunded", charge(taken=0, amount_refunded=10000, refunded=True), 2),
]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_voided_authorisation_ends_the_deposit_and_leaves_nothing_waiting(
    stripe: Story, order: tuple[int, ...]
) -> None:
    stripe.hear(*(VOID[n] for n in order))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (0, "failed", True)


@pytest.mark.parametrize("type_", ["charge.expired", "payment_intent.canceled"])
def test_an_authorisation_that_ran_out_or_was_canceled_ends_the_deposit(stripe: Story, type_: str) -> None:
    subject = charge(taken=0) if type_ == "charge.expired" else intent("canceled", latest_charge="ch_1")
    stripe.hear(AUTHORISED, stripe_event(type_, subject, 5))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (0, "failed", True)


def test_an_authorisation_whose_whole_amount_is_released_is_void_without_another_word(stripe: Story) -> None:
    stripe.hear(AUTHORISED, VOID[1])
    assert (stripe.wallet, stripe.state, stripe.settled()) == (0, "failed", True)


def test_a_canceled_intent_is_known_by_its_charge_alone(stripe: Story) -> None:
    canceled = intent("canceled", latest_charge="ch_1", metadata={})
    stripe.hear(AUTHORISED, stripe_event("payment_intent.canceled", canceled, 5))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (0, "failed", True)


def test_a_canceled_intent_frees_the_daily_limit(stripe: Story) -> None:
    policy = {"daily_deposit_limit_minor": 12000, "actor": "ops:dana", "reason": "test"}
    stripe.desk.do("policies.set", policy)
    [refused] = stripe.desk.expect("order-2", amount_minor=10000, provider="stripe")
    assert (refused["state"], refused["code"]) == ("refused", "limit_exceeded")
    stripe.hear(stripe_event("payment_intent.canceled", intent("canceled"), 1))
    [taken] = stripe.desk.expect("order-2", amount_minor=10000, provider="stripe")
    assert taken["state"] == "done"


def test_a_canceled_intent_that_took_money_or_is_nobodys_ends_nothing(stripe: Story) -> None:
    took = stripe_event("payment_intent.canceled", intent("canceled", amount_received=500), 1)
    nobodys = stripe_event("payment_intent.canceled", intent("canceled", id="pi_9", metadata={}), 2)
    stripe.hear(took, nobodys)
    assert (stripe.state, stripe.settled()) == ("expected", True)
    stripe.hear(stripe_event("payment_intent.canceled", intent("canceled"), 3))
    row = stripe.desk.deposit("order-1", "stripe")
    assert (row["state"], row["object_ids"]) == ("failed", [])


def test_a_payment_after_a_canceled_intent_is_credited(stripe: Story) -> None:
    canceled = stripe_event("payment_intent.canceled", intent("canceled"), 1)
    paid = stripe_event("charge.succeeded", charge(id="ch_2", payment_intent="pi_2"), 5)
    stripe.hear(canceled, paid, {**canceled, "id": "evt_again"})
    assert (stripe.wallet, stripe.state) == (10000, "captured")


SUCCEEDED = stripe_event("charge.succeeded", charge(id="py_1"), 0)
CAME_BACK = stripe_event(
    "charge.failed",
    charge(
        id="py_1",
        failure_balance_transaction="txn_f",
        paid=False,
        status="failed",
        failure_code="insufficient_funds",
    ),
    500_000,
)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_debit_that_the_bank_returns_is_taken_back_in_any_order(
    stripe: Story, order: tuple[int, ...], together: bool
) -> None:
    told = [SUCCEEDED, CAME_BACK, {**CAME_BACK, "id": "evt_again"}]
    stripe.hear(*(told[n] for n in order), together=together)
    assert (stripe.wallet, stripe.state, stripe.settled()) == (0, "failed", True)


def test_a_late_failure_of_another_attempt_stays_ignored(stripe: Story) -> None:
    failed = charge(id="ch_9", taken=0, paid=False, status="failed", failure_code="card_declined")
    stripe.hear(SUCCEEDED, stripe_event("charge.failed", failed, 5))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (10000, "captured", True)


def test_a_failure_that_never_moved_money_takes_nothing_back(stripe: Story) -> None:
    pending = stripe_event("charge.pending", charge(id="py_1", taken=0, status="pending"), 0)
    failed = charge(id="py_1", taken=0, paid=False, status="failed")
    stripe.hear(pending, stripe_event("charge.failed", failed, 5))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (0, "failed", True)


def test_a_debit_comes_back_that_was_spent_or_refunded_in_part(stripe: Story) -> None:
    stripe.hear(SUCCEEDED)
    stripe.hear(stripe_event("refund.created", refund(4000, charge="py_1", created=1790000100), 100))
    debit = {"owner": "ada", "amount_minor": 1000, "currency": "EUR", "reason": "game"}
    stripe.desk.do("wallets.debit", debit)
    stripe.hear(CAME_BACK)
    assert (stripe.wallet, stripe.shortfall) == (0, -5000)
    assert stripe.findings() == {"disputed_more_than_captured": 4000}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_released_rest_that_has_a_balance_transaction_is_no_refund_either(
    stripe: Story, order: tuple[int, ...]
) -> None:
    """Stripe books the whole authorisation, and the rest back (category partial_capture_reversal)."""
    rest = refund(4000, balance_transaction="txn_rest", created=1_790_000_001)
    told = [
        captured(6000, released=4000),
        stripe_event("refund.created", rest, 1),
        stripe_event("charge.refunded", charge(taken=6000, amount_refunded=4000), 1),
    ]
    stripe.hear(AUTHORISED, *(told[n] for n in order))
    assert (stripe.wallet, stripe.settled()) == (6000, True)
    real = refund(4000, id="re_2", balance_transaction="txn_2", created=1_790_000_900)
    stripe.hear(stripe_event("refund.created", real, 900))
    assert stripe.wallet == 2000
    stripe.hear(stripe_event("charge.refunded", charge(taken=6000, amount_refunded=8000), 900))
    assert (stripe.wallet, stripe.settled()) == (2000, True)


def test_a_refund_between_two_captures_is_taken_once(stripe: Story) -> None:
    stripe.hear(AUTHORISED, stripe_event("charge.updated", charge(taken=3000, captured=False), 1))
    between = charge(taken=3000, captured=False, amount_refunded=1000)
    stripe.hear(
        stripe_event("refund.created", refund(1000, created=1_790_000_002), 2),
        stripe_event("charge.refunded", between, 2),
    )
    assert stripe.wallet == 2000
    stripe.hear(
        stripe_event("charge.updated", charge(taken=7000, captured=False, amount_refunded=1000), 3),
        stripe_event("charge.captured", charge(taken=7000, amount_refunded=1000), 4),
    )
    assert (stripe.wallet, stripe.settled()) == (6000, True)


@pytest.mark.parametrize("turned", ["as told", "backwards", "together"])
def test_a_debit_that_comes_back_as_a_dispute_and_as_a_failure_is_not_taken_twice_from_the_owner(
    stripe: Story, turned: str
) -> None:
    lost = dispute(10000, -10000, status="lost", charge="py_1")
    told = [
        SUCCEEDED,
        stripe_event("charge.dispute.created", lost, 100),
        stripe_event("charge.dispute.closed", lost, 100),
    ]
    stripe.desk.do(
        "wallets.credit", {"owner": "ada", "amount_minor": 5000, "currency": "EUR", "reason": "bonus"}
    )
    stripe.hear(*(told[::-1] if turned == "backwards" else told), together=turned == "together")
    assert (stripe.wallet, stripe.settled()) == (5000, True)
    stripe.hear(CAME_BACK)
    assert (stripe.wallet, stripe.shortfall) == (5000, -10000)
    assert stripe.findings() == {"disputed_more_than_captured": 10000}


def test_an_unpaid_checkout_credits_nothing_and_a_paid_one_once(stripe: Story) -> None:
    session = {
        "id": "cs_1",
        "object": "checkout.session",
        "payment_status": "unpaid",
        "payment_intent": "pi_1",
    }
    stripe.hear(
        stripe_event("checkout.session.completed", session, 1),
        stripe_event("charge.pending", charge(taken=0, status="pending"), 1),
    )
    assert (stripe.wallet, stripe.state) == (0, "expected")
    stripe.hear(
        stripe_event("charge.succeeded", charge(), 9),
        stripe_event("checkout.session.async_payment_succeeded", session | {"payment_status": "paid"}, 9),
        stripe_event("payment_intent.succeeded", intent("succeeded", amount_received=10000), 9),
    )
    assert (stripe.wallet, stripe.settled()) == (10000, True)


def test_a_later_refund_of_just_the_released_amount_is_a_refund(stripe: Story) -> None:
    """The endpoint hears no refund object of the released rest, and no total."""
    stripe.hear(captured(6000, released=4000))
    real = refund(4000, id="re_2", created=1_790_000_900)
    stripe.hear(stripe_event("refund.created", real, 900))
    assert (stripe.wallet, stripe.settled()) == (2000, True)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_refund_between_captures_may_be_larger_than_what_is_still_open(
    stripe: Story, order: tuple[int, ...]
) -> None:
    """60 of 100 captured, more may follow; 50 refunded: nothing was released."""
    told = [
        AUTHORISED,
        stripe_event("charge.updated", charge(taken=6000, captured=False), 1),
        stripe_event("charge.refunded", charge(taken=6000, captured=False, amount_refunded=5000), 2),
    ]
    stripe.hear(*(told[n] for n in order))
    assert (stripe.wallet, stripe.settled()) == (1000, True)
    stripe.hear(stripe_event("charge.captured", charge(taken=9000, amount_refunded=5000), 900))
    assert (stripe.wallet, stripe.settled()) == (4000, True)


@pytest.mark.parametrize("order", list(permutations(range(4))))
@pytest.mark.parametrize("amount", [500, 1000, 5000])
def test_what_was_refunded_before_the_last_capture_is_no_released_rest(
    stripe: Story, amount: int, order: tuple[int, ...]
) -> None:
    """70 and 20 of 100 captured, a refund between them: the rest is in no total."""
    told = [
        AUTHORISED,
        stripe_event("charge.updated", charge(taken=7000, captured=False), 1),
        stripe_event("charge.refunded", charge(taken=7000, captured=False, amount_refunded=amount), 2),
        stripe_event("charge.captured", charge(taken=9000, amount_refunded=amount), 900),
    ]
    stripe.hear(*(told[n] for n in order))
    assert (stripe.wallet, stripe.settled()) == (9000 - amount, True)
