"""Stripe: what a dispute withdrew and what it gave back, as its balance transactions say."""

from typing import Any

import pytest

from tests.integration.stories.conftest import Story
from tests.unit.providers.vendors import BEGAN, Event, charge, dispute, refund, stripe_event

PAID = stripe_event("charge.succeeded", charge(), 0)
REFUNDED = stripe_event("charge.refunded", charge(amount_refunded=4000), 10)
OPENED = stripe_event("charge.dispute.created", dispute(10000, -10000), 20)
WITHDRAWN = stripe_event("charge.dispute.funds_withdrawn", dispute(10000, -10000), 20)


def reinstated(*moved: int, status: str = "lost", **more: Any) -> Event:
    subject = dispute(10000, *moved, status=status, **more)
    return stripe_event("charge.dispute.funds_reinstated", subject, 30)


def closed(status: str, *moved: int) -> Event:
    return stripe_event("charge.dispute.closed", dispute(10000, *moved, status=status), 40)


@pytest.mark.parametrize("turned", ["as told", "backwards", "together", "doubled"])
@pytest.mark.parametrize(
    ("events", "wallet", "state"),
    [
        # 40 refunded, 100 withdrawn, the refunded 40 given back although the dispute is lost
        (
            [PAID, REFUNDED, WITHDRAWN, reinstated(-10000, 4000), closed("lost", -10000, 4000)],
            0,
            "charged_back",
        ),
        ([PAID, OPENED, WITHDRAWN, reinstated(-10000, 10000, status="won")], 10000, "captured"),
        ([PAID, OPENED, WITHDRAWN, closed("won", -10000), reinstated(-10000, 10000)], 10000, "captured"),
        ([PAID, OPENED, WITHDRAWN, closed("lost", -10000)], 0, "charged_back"),
        (
            [PAID, REFUNDED, OPENED, reinstated(-10000, 4000), reinstated(-10000, 4000, 6000)],
            6000,
            "captured",
        ),
        ([PAID, stripe_event("charge.dispute.updated", dispute(2500, -2500), 20)], 7500, "charged_back"),
    ],
)
def test_a_dispute_is_worth_what_its_balance_transactions_say(
    stripe: Story, events: list[Event], wallet: int, state: str, turned: str
) -> None:
    told = {"backwards": events[::-1], "doubled": [*events, *events[::-1]]}.get(turned, events)
    stripe.hear(*told, together=turned == "together")
    assert (stripe.wallet, stripe.shortfall, stripe.state) == (wallet, 0, state)
    assert (stripe.settled(), stripe.findings()) == (True, {})


def test_a_dispute_beyond_what_is_left_is_a_finding_until_it_is_given_back(stripe: Story) -> None:
    stripe.hear(PAID, REFUNDED, WITHDRAWN)
    assert (stripe.wallet, stripe.shortfall) == (0, -4000)
    assert stripe.findings() == {"disputed_more_than_captured": 4000}
    stripe.hear(reinstated(-10000, 4000))
    assert (stripe.wallet, stripe.shortfall, stripe.findings()) == (0, 0, {})


@pytest.mark.parametrize("status", ["warning_needs_response", "warning_closed", "prevented"])
@pytest.mark.parametrize("type_", ["created", "updated", "closed"])
def test_an_inquiry_or_a_prevented_dispute_withdraws_nothing(stripe: Story, type_: str, status: str) -> None:
    stripe.hear(PAID, stripe_event(f"charge.dispute.{type_}", dispute(10000, status=status), 20))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (10000, "captured", True)


def test_a_dispute_that_withdrew_nothing_takes_nothing(stripe: Story) -> None:
    """The list is there, and empty: the funds are withdrawn later, or never."""
    stripe.hear(PAID, stripe_event("charge.dispute.created", dispute(10000), 20), closed("won"))
    assert (stripe.wallet, stripe.settled()) == (10000, True)
    stripe.hear(WITHDRAWN)
    assert stripe.wallet == 0


def test_a_dispute_without_a_list_of_balance_transactions_is_believed_by_its_type(stripe: Story) -> None:
    def bare(type_: str, status: str, at: int) -> Event:
        subject = dispute(10000, status=status)
        del subject["balance_transactions"]
        return stripe_event(type_, subject, at)

    stripe.hear(PAID, bare("charge.dispute.created", "needs_response", 20))
    assert stripe.wallet == 0
    stripe.hear(bare("charge.dispute.closed", "won", 40))
    assert (stripe.wallet, stripe.state, stripe.settled()) == (10000, "captured", True)


def test_a_dispute_that_settled_in_another_currency_is_taken_as_its_share(stripe: Story) -> None:
    def in_dollars(*moved: int) -> Event:
        subject = dispute(10000, *moved)
        rows = [{**row, "currency": "usd"} for row in subject["balance_transactions"]]
        return {**subject, "balance_transactions": rows}

    stripe.hear(PAID, stripe_event("charge.dispute.created", in_dollars(-11800), 20))
    assert stripe.wallet == 0
    stripe.hear(stripe_event("charge.dispute.funds_reinstated", in_dollars(-11800, 5900), 30))
    assert stripe.wallet == 5000
    stripe.hear(stripe_event("charge.dispute.funds_reinstated", in_dollars(-11800, 5900, 5900), 40))
    assert (stripe.wallet, stripe.state) == (10000, "captured")


def test_a_lost_dispute_that_an_appeal_wins_gives_the_money_back(stripe: Story) -> None:
    stripe.hear(PAID, OPENED, closed("lost", -10000))
    assert stripe.wallet == 0
    stripe.hear(reinstated(-10000, 10000, status="won"))
    assert (stripe.wallet, stripe.state) == (10000, "captured")


def test_two_disputes_of_one_charge_are_two(stripe: Story) -> None:
    other = dispute(2000, -2000, id="du_2")
    stripe.hear(
        PAID,
        stripe_event("charge.dispute.created", dispute(3000, -3000), 20),
        stripe_event("charge.dispute.created", other, 21),
        stripe_event("charge.dispute.funds_reinstated", dispute(3000, -3000, 3000, status="won"), 30),
    )
    assert (stripe.wallet, stripe.settled()) == (8000, True)


def test_a_dispute_of_more_than_the_charge_is_taken_and_suspense_bears_the_rest(stripe: Story) -> None:
    """Exchange rates may have moved since."""
    stripe.desk.do(
        "wallets.credit", {"owner": "ada", "amount_minor": 5000, "currency": "EUR", "reason": "bonus"}
    )
    stripe.hear(PAID, stripe_event("charge.dispute.created", dispute(10300, -10300), 20))
    assert (stripe.wallet, stripe.shortfall) == (5000, -300)
    assert stripe.findings() == {"disputed_more_than_captured": 300}
    stripe.hear(stripe_event("charge.dispute.funds_reinstated", dispute(10300, -10300, 10300), 30))
    assert (stripe.wallet, stripe.shortfall, stripe.findings()) == (15000, 0, {})


def test_a_refund_of_a_disputed_charge_that_was_won_is_taken_once(stripe: Story) -> None:
    again = refund(10000, created=BEGAN + 50)
    stripe.hear(PAID, WITHDRAWN, reinstated(-10000, 10000, status="won"))
    stripe.hear(stripe_event("refund.created", again, 50))
    stripe.hear(stripe_event("charge.refunded", charge(amount_refunded=10000, refunded=True), 50))
    assert (stripe.wallet, stripe.shortfall, stripe.state) == (0, 0, "refunded")


def test_a_share_of_a_dispute_is_a_whole_number_of_its_currencys_units(stripe: Story) -> None:
    """5000 ISK are 500000 at Stripe; 12.34 of 35.00 USD came back, which is no whole number of krona."""
    stripe.desk.expect("order-2", provider="stripe", amount_minor=5000, currency="ISK")
    paid = charge(500000, currency="isk", id="ch_2", metadata={"reference": "order-2"})
    subject = dispute(500000, -3500, 1234, currency="isk", charge="ch_2")
    rows = [{**row, "currency": "usd"} for row in subject["balance_transactions"]]
    given_back = {**subject, "balance_transactions": rows}
    stripe.hear(stripe_event("charge.succeeded", paid))
    stripe.hear(stripe_event("charge.dispute.funds_reinstated", given_back, 30))
    assert (stripe.desk.wallet(currency="ISK"), stripe.settled()) == (1762, True)
