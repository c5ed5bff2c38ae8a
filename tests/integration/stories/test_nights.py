"""One night after a story: what the provider's records say of it agrees with the ledger, and the books hold."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.integration.families.desk import Desk
from tests.integration.reconciliation.books import Books, record
from tests.integration.stories.conftest import Story
from tests.unit.providers.vendors import (
    BEGAN,
    NEW_API,
    OLD_API,
    Event,
    adyen_item,
    charge,
    dispute,
    refund,
    stripe_event,
)
from worker.providers.records.port import Record

STRIPE_DAY = datetime.fromtimestamp(BEGAN, UTC)
ADYEN_DAY = datetime(2026, 11, 30, 8, tzinfo=UTC)
PAYMENT, DISPUTE = "PAYMENT000000001", "DISPUTE000000001"
AUTHORISED = adyen_item("AUTHORISATION", PAYMENT)
PAID = stripe_event("charge.succeeded", charge(), 0)
Lines = list[tuple[str, int]]
"""Kind and amount of each record that the provider settles for our reference."""


@pytest.fixture(autouse=True)
def soon_after(desk: Desk, request: pytest.FixtureRequest) -> None:
    """The events are heard on the day that they are of."""
    desk.now = (ADYEN_DAY if "adyen" in request.fixturenames else STRIPE_DAY) + timedelta(hours=1)


def night(story: Story, day: datetime, lines: Lines) -> tuple[int, dict[str, int]]:
    """Findings that stand open, and what was found, three days later."""
    books = Books(story.desk.transaction, provider=story.provider, now=day + timedelta(days=3))
    records: list[Record] = [
        record("order-1", minor, kind, day + timedelta(seconds=n), record_id=f"rec_{n}")
        for n, (kind, minor) in enumerate(lines)
    ]
    report = books.run(*records, night=date(day.year, day.month, day.day), with_checks=True)
    return report.findings_open, dict(report.findings)


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        # a partial capture: some accounts book the captured part, others the whole and the rest back
        (
            [
                stripe_event("charge.succeeded", charge(taken=0), 0),
                stripe_event("charge.captured", charge(taken=6000, amount_refunded=4000), 1),
                stripe_event("refund.created", refund(4000, balance_transaction=None), 1),
            ],
            [("deposit", 6000)],
        ),
        (
            [
                stripe_event("charge.captured", charge(taken=6000, amount_refunded=4000), 1),
                stripe_event("refund.created", refund(4000, created=BEGAN + 1), 1),
                stripe_event("charge.refunded", charge(taken=6000, amount_refunded=4000), 1),
            ],
            [("deposit", 10000), ("deposit", -4000)],
        ),
        (
            [
                stripe_event("charge.updated", charge(taken=3000, captured=False), 1),
                stripe_event("charge.captured", charge(taken=7000), 2),
            ],
            [("deposit", 3000), ("deposit", 4000)],
        ),
        # refunds: one that failed, one that stands
        (
            [
                PAID,
                stripe_event("charge.refunded", charge(amount_refunded=4000), 10, api=OLD_API),
                stripe_event(
                    "charge.refund.updated", refund(4000, "failed", created=BEGAN + 10), 20, api=OLD_API
                ),
                stripe_event("charge.refunded", charge(amount_refunded=2500), 30, api=OLD_API),
            ],
            [("deposit", 10000), ("refund", -4000), ("refund", 4000), ("refund", -2500)],
        ),
        (
            [
                PAID,
                stripe_event("refund.created", refund(4000, "pending", created=BEGAN + 10), 10, api=NEW_API),
                stripe_event("refund.failed", refund(4000, "failed", created=BEGAN + 10), 20, api=NEW_API),
            ],
            [("deposit", 10000), ("refund", -4000), ("refund", 4000)],
        ),
        # only its failure was heard
        (
            [PAID, stripe_event("refund.failed", refund(4000, "failed", created=BEGAN + 10), 20)],
            [("deposit", 10000), ("refund", -4000), ("refund", 4000)],
        ),
        # a dispute that is lost with the refunded part reinstated
        (
            [
                PAID,
                stripe_event("charge.refunded", charge(amount_refunded=4000), 10),
                stripe_event("charge.dispute.funds_withdrawn", dispute(10000, -10000), 20),
                stripe_event(
                    "charge.dispute.funds_reinstated", dispute(10000, -10000, 4000, status="lost"), 30
                ),
            ],
            [("deposit", 10000), ("refund", -4000), ("chargeback", -10000), ("chargeback", 4000)],
        ),
        # a debit that the bank returned
        (
            [stripe_event("charge.failed", charge(status="failed", failure_balance_transaction="txn_f"), 40)],
            [("deposit", 10000), ("deposit", -10000)],
        ),
        # a voided authorisation
        (
            [
                stripe_event("charge.succeeded", charge(taken=0), 0),
                stripe_event("charge.refunded", charge(taken=0, amount_refunded=10000), 5),
            ],
            [],
        ),
    ],
)
def test_stripes_records_agree(stripe: Story, events: list[Event], lines: Lines) -> None:
    stripe.hear(*events)
    wallet = max(sum(minor for _, minor in lines), 0)
    assert (stripe.wallet, stripe.settled()) == (wallet, True)
    assert night(stripe, STRIPE_DAY, lines) == (0, {})


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        (
            [AUTHORISED, adyen_item("CAPTURE", "CAPTURE000000001", 6000, original=PAYMENT)],
            [("deposit", 6000)],
        ),
        ([AUTHORISED, adyen_item("CANCELLATION", "CANCEL0000000001", original=PAYMENT)], []),
        (
            [AUTHORISED, adyen_item("SETTLED_REVERSED", "REVERSED00000001", 4000, original=PAYMENT)],
            [("deposit", 10000), ("deposit", -4000)],
        ),
        (
            [
                AUTHORISED,
                adyen_item("CHARGEBACK", DISPUTE, original=PAYMENT),
                adyen_item("CHARGEBACK_REVERSED", PAYMENT),
                adyen_item("SECOND_CHARGEBACK", DISPUTE, 11500, original=PAYMENT),
            ],
            [("deposit", 10000), ("chargeback", -10000), ("chargeback", 10000), ("chargeback", -11500)],
        ),
        (
            [
                adyen_item("AUTHORISATION", "GIFT000000000001", 2000),
                adyen_item("AUTHORISATION", "CARD000000000001", 8000),
            ],
            [("deposit", 2000), ("deposit", 8000)],
        ),
    ],
)
def test_adyens_records_agree(adyen: Story, events: list[Event], lines: Lines) -> None:
    adyen.hear(*events)
    wallet = max(sum(minor for _, minor in lines), 0)
    assert (adyen.wallet, adyen.settled()) == (wallet, True)
    open_findings, found = night(adyen, ADYEN_DAY, lines)
    assert found == {}
    assert open_findings == len(adyen.findings())


@pytest.mark.parametrize(
    ("lines", "findings"),
    [
        ([("deposit", 6500)], {"amount_mismatch": 1, "missing_at_provider": 1}),
        ([("deposit", 10000)], {"missing_at_provider": 1}),
        ([("deposit", 6000), ("deposit", 4000)], {"missing_at_provider": 1}),
        ([("refund", -40)], {"missing_in_ledger": 1, "missing_at_provider": 2}),
    ],
)
def test_a_capture_that_the_provider_settles_otherwise_is_still_found(
    adyen: Story, lines: Lines, findings: dict[str, int]
) -> None:
    """What was taken back is no reason to believe any other sum."""
    adyen.hear(AUTHORISED, adyen_item("CAPTURE", "CAPTURE000000001", 6000, original=PAYMENT))
    assert night(adyen, ADYEN_DAY, lines)[1] == findings


def test_a_duplicate_that_was_given_back_agrees_with_the_providers_refund(stripe: Story) -> None:
    second = stripe_event("charge.succeeded", charge(id="ch_2"), 1)
    stripe.hear(PAID, second)
    args = {
        "provider": "stripe",
        "reference": "order-1",
        "amount_minor": 10000,
        "currency": "EUR",
        "to": "payer",
        "payment": "ch_2",
        "actor": "ops:dana",
        "reason": "paid twice",
    }
    stripe.desk.do("deposits.allocate", args)
    lines = [("deposit", 10000), ("deposit", 10000), ("refund", -10000)]
    assert night(stripe, STRIPE_DAY, lines) == (0, {})
