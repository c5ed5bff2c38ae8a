"""Several payments of one reference: up to the announced amount they are the owner's, above it a person decides."""

from typing import Any

import pytest

from tests.integration.stories.conftest import Story
from tests.unit.providers.vendors import Event, adyen_item, charge, dispute, refund, stripe_event

GIFT = adyen_item("AUTHORISATION", "GIFT000000000001", 2000, paymentMethod="givex")
CARD = adyen_item("AUTHORISATION", "CARD000000000001", 8000)
TWICE = adyen_item("AUTHORISATION", "CARD000000000002", 8000)


def paid(charge_id: str, amount: int = 10000, at: int = 0, **more: Any) -> Event:
    return stripe_event("charge.succeeded", charge(amount, id=charge_id, **more), at)


def refunded(charge_id: str, amount: int, at: int) -> Event:
    return stripe_event("charge.refunded", charge(id=charge_id, amount_refunded=amount), at)


def allocate(story: Story, amount_minor: int, to: str, **more: Any) -> dict[str, Any]:
    args = {
        "provider": story.provider,
        "reference": "order-1",
        "amount_minor": amount_minor,
        "currency": "EUR",
        "to": to,
        "actor": "ops:dana",
        "reason": "asked the player",
        **more,
    }
    [answer] = story.desk.do("deposits.allocate", args)
    return answer


@pytest.mark.parametrize("turned", ["as told", "backwards", "together", "doubled"])
def test_the_payments_of_an_order_add_up_to_what_was_announced(adyen: Story, turned: str) -> None:
    opened = adyen_item("ORDER_OPENED", "ORDER00000000001")
    told = [opened, GIFT, CARD, adyen_item("ORDER_CLOSED", "ORDER00000000001")]
    if turned == "backwards":
        told.reverse()
    adyen.hear(*(told * 2 if turned == "doubled" else told), together=turned == "together")
    assert (adyen.wallet, adyen.duplicate, adyen.state) == (10000, 0, "captured")
    assert (adyen.settled(), adyen.findings()) == (True, {})


@pytest.mark.parametrize("turned", ["as told", "backwards"])
def test_only_what_is_above_the_announced_amount_is_a_duplicate(adyen: Story, turned: str) -> None:
    told = [GIFT, CARD, TWICE]
    adyen.hear(*(told if turned == "as told" else told[::-1]))
    assert (adyen.wallet, adyen.duplicate) == (10000, 8000)
    assert adyen.findings() == {"duplicate_payment": 8000}
    adyen.hear(adyen_item("REFUND", "REFUND0000000001", 8000, original="CARD000000000002"))
    assert (adyen.wallet, adyen.duplicate, adyen.findings(), adyen.settled()) == (10000, 0, {}, True)


@pytest.mark.parametrize("turned", ["as told", "backwards", "together"])
def test_who_pays_again_after_a_refund_has_paid_once(stripe: Story, turned: str) -> None:
    told = [paid("ch_a"), refunded("ch_a", 10000, 5), paid("ch_b", at=9)]
    stripe.hear(*(told[::-1] if turned == "backwards" else told), together=turned == "together")
    assert (stripe.wallet, stripe.duplicate, stripe.state) == (10000, 0, "captured")
    assert (stripe.settled(), stripe.findings()) == (True, {})


def test_a_refund_of_either_of_two_payments_leaves_the_owner_with_one(stripe: Story) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    assert (stripe.wallet, stripe.duplicate) == (10000, 10000)
    stripe.hear(refunded("ch_a", 10000, 5))
    assert (stripe.wallet, stripe.duplicate, stripe.findings()) == (10000, 0, {})


def test_a_dispute_of_a_payment_that_was_made_twice_takes_the_duplicate_first(stripe: Story) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    withdrawn = stripe_event("charge.dispute.created", dispute(10000, -10000, charge="ch_a"), 9)
    stripe.hear(withdrawn)
    assert (stripe.wallet, stripe.duplicate) == (10000, 0)


def test_a_single_payment_is_the_owners_whatever_was_announced(stripe: Story) -> None:
    stripe.hear(paid("ch_a", 12000))
    assert (stripe.wallet, stripe.duplicate, stripe.findings()) == (12000, 0, {})


def test_two_partial_payments_count_together_and_the_excess_apart(stripe: Story) -> None:
    stripe.hear(paid("ch_a", 6000), paid("ch_b", 7000, 1))
    assert (stripe.wallet, stripe.duplicate) == (10000, 3000)
    stripe.hear(refunded("ch_a", 2000, 5))
    assert (stripe.wallet, stripe.duplicate) == (10000, 1000)
    assert stripe.findings() == {"duplicate_payment": 1000}


def test_a_duplicate_is_said_by_its_job_and_by_a_notification(stripe: Story) -> None:
    stripe.desk.rows("UPDATE tenants SET notified = true WHERE tenant = :tenant RETURNING tenant")
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    rows = stripe.desk.rows("SELECT result FROM jobs WHERE args ->> 'object_id' = 'ch_b'")
    assert rows[0]["result"]["duplicate_minor"] == 10000
    [news] = stripe.desk.rows("SELECT type, subject, data FROM notifications")
    assert (news["type"], news["subject"]) == ("deposit.duplicate", "deposit:stripe:order-1")
    assert news["data"] == {
        "provider": "stripe",
        "reference": "order-1",
        "owner": "ada",
        "currency": "EUR",
        "expected_minor": 10000,
        "duplicate_minor": 10000,
    }


def test_an_operator_gives_a_duplicate_to_its_owner(stripe: Story) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    answer = allocate(stripe, 4000, "owner")
    assert (answer["state"], answer["duplicate_minor"]) == ("done", 6000)
    assert (stripe.wallet, stripe.duplicate, stripe.findings()) == (14000, 6000, {"duplicate_payment": 6000})
    assert allocate(stripe, 6000, "owner")["state"] == "done"
    assert (stripe.wallet, stripe.duplicate, stripe.findings()) == (20000, 0, {})
    rows = stripe.desk.rows("SELECT actor, action, subject, reason, detail FROM audit_events ORDER BY id")
    assert [(row["actor"], row["action"], row["detail"]["amount_minor"]) for row in rows] == [
        ("ops:dana", "deposits.allocate", 4000),
        ("ops:dana", "deposits.allocate", 6000),
    ]


def test_what_was_allocated_to_the_owner_goes_back_from_the_owner(stripe: Story) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    allocate(stripe, 10000, "owner")
    stripe.hear(refunded("ch_b", 10000, 5))
    assert (stripe.wallet, stripe.duplicate) == (10000, 0)


def test_a_duplicate_that_is_given_back_is_not_taken_again_by_the_providers_event(stripe: Story) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    assert allocate(stripe, 10000, "payer", payment="ch_b")["state"] == "done"
    assert (stripe.wallet, stripe.duplicate, stripe.findings()) == (10000, 0, {})
    assert stripe.desk.balance("provider:stripe:clearing") == -10000
    stripe.hear(refunded("ch_b", 10000, 5))
    stripe.hear(stripe_event("refund.created", refund(10000, charge="ch_b"), 5))
    assert (stripe.wallet, stripe.duplicate, stripe.settled()) == (10000, 0, True)
    assert stripe.desk.balance("provider:stripe:clearing") == -10000


def test_given_back_in_two_parts_is_counted_beside_what_the_provider_said_before(stripe: Story) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1), refunded("ch_b", 2000, 5))
    allocate(stripe, 3000, "payer", payment="ch_b")
    assert (stripe.wallet, stripe.duplicate) == (10000, 5000)
    stripe.hear(refunded("ch_b", 5000, 9))
    assert (stripe.wallet, stripe.duplicate) == (10000, 5000)


@pytest.mark.parametrize(
    ("amount_minor", "more", "code"),
    [
        (10001, {}, "exceeds_duplicate"),
        (10000, {"currency": "USD"}, "currency_mismatch"),
        (10000, {"reference": "order-9"}, "unknown_deposit"),
        (10000, {"payment": "ch_z"}, "exceeds_payment"),
    ],
)
def test_what_is_no_duplicate_is_not_allocated(
    stripe: Story, amount_minor: int, more: dict[str, Any], code: str
) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    answer = allocate(stripe, amount_minor, "payer", **more)
    assert (answer["state"], answer["code"]) == ("refused", code)
    assert (stripe.wallet, stripe.duplicate) == (10000, 10000)
    assert stripe.desk.rows("SELECT 1 FROM audit_events") == []


def test_the_same_allocation_asked_for_twice_is_one(stripe: Story) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    args = {
        "provider": "stripe",
        "reference": "order-1",
        "amount_minor": 10000,
        "currency": "EUR",
        "to": "owner",
        "actor": "ops:dana",
        "reason": "once",
    }
    first, again = (
        stripe.desk.do("deposits.allocate", args, key="one"),
        stripe.desk.do("deposits.allocate", args, key="one"),
    )
    assert (first, stripe.wallet, stripe.duplicate) == (again, 20000, 0)


def test_two_allocations_in_one_batch_are_decided_one_after_the_other(stripe: Story) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    args = {
        "provider": "stripe",
        "reference": "order-1",
        "amount_minor": 6000,
        "currency": "EUR",
        "to": "owner",
        "actor": "ops:dana",
        "reason": "half",
    }
    first, second = stripe.desk.do("deposits.allocate", args, {**args, "reason": "other half"})
    assert (first["state"], second["code"]) == ("done", "exceeds_duplicate")
    assert (stripe.wallet, stripe.duplicate) == (16000, 4000)


def test_a_shortfall_of_the_deposit_is_made_good_before_its_owner_gets_more(stripe: Story) -> None:
    stripe.hear(paid("ch_a"))
    stripe.desk.do(
        "wallets.debit", {"owner": "ada", "amount_minor": 10000, "currency": "EUR", "reason": "game"}
    )
    stripe.hear(refunded("ch_a", 10000, 5))
    assert (stripe.wallet, stripe.shortfall) == (0, -10000)
    stripe.hear(paid("ch_b", at=9), paid("ch_c", at=10))
    assert (stripe.wallet, stripe.shortfall, stripe.duplicate) == (0, 0, 10000)


def test_three_payments_for_one_order_leave_the_owner_with_one_until_the_last_goes_back(
    stripe: Story,
) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1), paid("ch_c", at=2))
    assert (stripe.wallet, stripe.duplicate) == (10000, 20000)
    stripe.hear(refunded("ch_a", 10000, 5))
    assert (stripe.wallet, stripe.duplicate) == (10000, 10000)
    stripe.hear(stripe_event("charge.dispute.created", dispute(10000, -10000, charge="ch_b"), 6))
    assert (stripe.wallet, stripe.duplicate, stripe.findings()) == (10000, 0, {})
    stripe.hear(refunded("ch_c", 10000, 7))
    assert (stripe.wallet, stripe.shortfall, stripe.settled()) == (0, 0, True)


@pytest.mark.parametrize("undone", ["CANCELLATION", "REFUND"])
@pytest.mark.parametrize("turned", ["as told", "backwards", "together"])
def test_an_order_that_is_closed_unpaid_gives_its_payments_back(
    adyen: Story, undone: str, turned: str
) -> None:
    told = [
        adyen_item("ORDER_OPENED", "ORDER00000000001"),
        GIFT,
        adyen_item("ORDER_CLOSED", "ORDER00000000001", success="false"),
        adyen_item(undone, "UNDONE0000000001", 2000, original="GIFT000000000001"),
    ]
    adyen.hear(*(told[::-1] if turned == "backwards" else told), together=turned == "together")
    assert (adyen.wallet, adyen.duplicate, adyen.settled()) == (0, 0, True)


@pytest.mark.parametrize("told_first", [True, False])
def test_a_duplicate_that_was_given_back_in_vain_is_a_duplicate_again(
    stripe: Story, told_first: bool
) -> None:
    given = refund(10000, charge="ch_b", created=1_790_000_005)
    made = stripe_event("refund.created", given, 5)
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    allocate(stripe, 10000, "payer", payment="ch_b")
    failed = stripe_event("refund.failed", {**given, "status": "failed"}, 90)
    stripe.hear(*([made, failed] if told_first else [failed, made]))
    assert (stripe.wallet, stripe.duplicate) == (10000, 10000)
    assert (stripe.findings(), stripe.settled()) == ({"duplicate_payment": 10000}, True)


def test_after_a_refund_that_failed_as_much_can_be_given_back_again(stripe: Story) -> None:
    given = refund(10000, charge="ch_b", created=1_790_000_005)
    stripe.hear(paid("ch_a"), paid("ch_b", at=1), stripe_event("refund.created", given, 5))
    stripe.hear(stripe_event("refund.failed", {**given, "status": "failed"}, 90))
    assert allocate(stripe, 10000, "payer", payment="ch_b")["state"] == "done"
    assert (stripe.wallet, stripe.duplicate) == (10000, 0)


def test_which_of_two_payments_was_given_back_is_not_guessed(stripe: Story) -> None:
    """The provider refunds the first one: a guess at the second would take both from the owner."""
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    answer = allocate(stripe, 10000, "payer")
    assert (answer["state"], answer["code"]) == ("refused", "payment_needed")
    stripe.hear(refunded("ch_a", 10000, 5))
    assert (stripe.wallet, stripe.duplicate) == (10000, 0)


def test_what_was_allocated_and_refunded_allocates_no_later_payment(stripe: Story) -> None:
    stripe.hear(paid("ch_a"), paid("ch_b", at=1))
    allocate(stripe, 10000, "owner")
    stripe.hear(refunded("ch_b", 10000, 5), paid("ch_c", at=9))
    assert (stripe.wallet, stripe.duplicate) == (10000, 10000)
    assert stripe.findings() == {"duplicate_payment": 10000}


@pytest.mark.parametrize("turned", ["as told", "backwards", "together"])
def test_a_refund_with_the_reference_of_another_deposit_is_of_its_own_payment(
    adyen: Story, turned: str
) -> None:
    adyen.expect(5000, reference="order-2")
    told = [
        CARD,
        adyen_item(
            "REFUND", "REFUND0000000001", 3000, original="CARD000000000001", merchantReference="order-2"
        ),
    ]
    adyen.hear(*(told[::-1] if turned == "backwards" else told), together=turned == "together")
    assert (adyen.wallet, adyen.settled()) == (5000, True)
    adyen.hear(adyen_item("AUTHORISATION", "CARD000000000009", 5000, merchantReference="order-2"))
    assert (adyen.wallet, adyen.settled()) == (10000, True)
