"""What a balance transaction of Stripe says, type by type, in its own and in exchanged currencies."""

from datetime import UTC, datetime
from typing import Any

import pytest

from worker.providers.records.cells import Unreadable
from worker.providers.records.port import Record
from worker.providers.records.raw import shown
from worker.providers.records.stripe_rows import record

CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "amount": 1250,
    "amount_captured": 1250,
    "currency": "eur",
    "payment_intent": "pi_1",
    "metadata": {"reference": "order-1"},
}
REFUND = {
    "id": "re_1",
    "object": "refund",
    "amount": 1250,
    "currency": "eur",
    "charge": CHARGE,
    "metadata": {},
}
DISPUTE = REFUND | {"id": "dp_1", "object": "dispute"}
PAYOUT = {
    "id": "po_1",
    "object": "payout",
    "automatic": False,
    "metadata": {"reference": "7f3a-1"},
    "currency": "eur",
    "amount": 1250,
}
AUTOMATIC = PAYOUT | {"automatic": True, "metadata": {}}
"""Stripe's own transfer of the balance to the account's bank."""
TRANSFER = PAYOUT | {"id": "tr_1", "object": "transfer"}
REVERSAL = {"id": "trr_1", "object": "transfer_reversal", "transfer": "tr_1", "metadata": {}}
ROW: dict[str, Any] = {
    "id": "txn_1",
    "object": "balance_transaction",
    "amount": 1250,
    "fee": 40,
    "net": 1210,
    "currency": "eur",
    "created": 1795168800,
    "exchange_rate": None,
    "type": "charge",
    "reporting_category": "charge",
    "status": "pending",
    "source": CHARGE,
}


def row(**changed: Any) -> Record:
    return record(ROW | changed, {})


def test_automatic_payouts_of_a_connected_account_go_to_a_bank_of_others() -> None:
    told = ROW | {"type": "payout", "amount": -1250, "source": AUTOMATIC, "reporting_category": "payout"}
    assert record(told, {}, settles_to_us=False).kind == "other"


def test_a_charge_in_full() -> None:
    at = datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert row() == Record("txn_1", "deposit", "order-1", "ch_1", 1250, "EUR", 40, "EUR", "charge", at)


@pytest.mark.parametrize(
    ("type_", "amount", "source", "kind", "reference", "object_id"),
    [
        ("payment", 1250, CHARGE, "deposit", "order-1", "ch_1"),
        ("payment_failure_refund", -1250, REFUND, "deposit", "order-1", "ch_1"),
        ("payment_reversal", -1250, REFUND, "deposit", "order-1", "ch_1"),
        ("refund", -1250, REFUND, "refund", "order-1", "ch_1"),
        ("payment_refund", -1250, REFUND, "refund", "order-1", "ch_1"),
        ("refund_failure", 1250, REFUND, "refund", "order-1", "ch_1"),
        ("adjustment", -1250, DISPUTE, "chargeback", "order-1", "ch_1"),
        ("adjustment", 1250, DISPUTE, "chargeback", "order-1", "ch_1"),
        ("adjustment", 1250, None, "other", None, None),
        ("payout", -1250, PAYOUT, "payout", "7f3a-1", "po_1"),
        ("payout", -1250, AUTOMATIC, "own_transfer", None, "po_1"),
        ("payout_failure", 1250, AUTOMATIC, "own_transfer", None, "po_1"),
        ("payout_cancel", 1250, AUTOMATIC, "own_transfer", None, "po_1"),
        ("payout", -1250, PAYOUT | {"automatic": True}, "payout", "7f3a-1", "po_1"),
        ("payout", -1250, PAYOUT | {"metadata": {}}, "payout", None, "po_1"),
        ("payout", -1250, AUTOMATIC | {"automatic": "true"}, "payout", None, "po_1"),
        ("payout", -1250, "po_1", "payout", None, "po_1"),
        ("payout_minimum_balance_hold", -1250, AUTOMATIC, "ignore", None, "po_1"),
        ("payout_minimum_balance_release", 1250, AUTOMATIC, "ignore", None, "po_1"),
        ("reserve_hold", -1250, None, "ignore", None, None),
        ("topup_reversal", -1250, {"id": "tu_1", "object": "topup"}, "own_transfer", None, "tu_1"),
        ("payout", 1250, PAYOUT | {"id": "po_2", "original_payout": "po_1"}, "payout", "7f3a-1", "po_1"),
        ("payout_failure", 1250, PAYOUT, "payout", "7f3a-1", "po_1"),
        ("payout_cancel", 1250, PAYOUT, "payout", "7f3a-1", "po_1"),
        ("transfer", -1250, TRANSFER, "payout", "7f3a-1", "tr_1"),
        ("transfer_refund", 1250, REVERSAL, "payout", None, "tr_1"),
        ("transfer_cancel", 1250, TRANSFER, "payout", "7f3a-1", "tr_1"),
        ("transfer_failure", 1250, TRANSFER, "payout", "7f3a-1", "tr_1"),
        ("stripe_fee", -1250, None, "fee", None, None),
        ("stripe_fx_fee", -1250, None, "fee", None, None),
        ("tax_fee", -1250, None, "fee", None, None),
        ("topup", 1250, {"id": "tu_1", "object": "topup"}, "own_transfer", None, "tu_1"),
        ("invented_tomorrow", -1250, "xx_1", "other", None, "xx_1"),
    ],
)
def test_every_type(
    type_: str, amount: int, source: Any, kind: str, reference: str | None, object_id: str | None
) -> None:
    found = row(type=type_, amount=amount, source=source, reporting_category=type_)
    assert (found.kind, found.amount_minor, found.status) == (kind, amount, type_)
    assert (found.reference, found.object_id) == (reference, object_id)


def test_a_reversed_transfer_has_the_reference_of_its_transfer() -> None:
    found = record(ROW | {"type": "transfer_refund", "source": REVERSAL}, TRANSFER)
    assert (found.reference, found.object_id) == ("7f3a-1", "tr_1")


@pytest.mark.parametrize(
    ("source", "reference"),
    [
        (CHARGE | {"metadata": {}}, "pi_1"),
        (CHARGE | {"metadata": {}, "payment_intent": {"id": "pi_2"}}, "pi_2"),
        (CHARGE | {"metadata": {}, "payment_intent": None}, "ch_1"),
        (REFUND | {"charge": "ch_9"}, "ch_9"),
        (REFUND | {"metadata": {"reference": "mine"}}, "mine"),
    ],
)
def test_without_our_reference_it_is_the_payment_s_as_in_its_webhooks(
    source: dict[str, Any], reference: str
) -> None:
    assert row(source=source).reference == reference


@pytest.mark.parametrize(
    ("changed", "money"),
    [
        ({"currency": "usd", "amount": 1400, "exchange_rate": 1.12}, (1250, "EUR", 40, "USD")),
        ({"currency": "jpy", "amount": 2000, "exchange_rate": 160.0}, (1250, "EUR", 40, "JPY")),
        (
            {"currency": "usd", "amount": -1400, "exchange_rate": 1.12, "type": "refund", "source": REFUND},
            (-1250, "EUR", 40, "USD"),
        ),
        (
            {"currency": "usd", "exchange_rate": 1.0, "source": CHARGE | {"amount_captured": 300}},
            (300, "EUR", 40, "USD"),
        ),
        ({"currency": "usd", "amount": -15, "exchange_rate": 1.0, "source": None}, (-15, "USD", 40, "USD")),
        ({"currency": "isk", "amount": 12500, "fee": 100}, (125, "ISK", 1, "ISK")),
        ({"currency": "bhd", "amount": 12500, "fee": -10}, (12500, "BHD", -10, "BHD")),
        ({"currency": "ugx", "amount": -12500, "fee": 0}, (-125, "UGX", 0, "UGX")),
    ],
)
def test_money_is_the_charge_s_and_its_fee_the_balance_s(
    changed: dict[str, Any], money: tuple[int, str, int, str]
) -> None:
    found = row(**changed)
    assert (found.amount_minor, found.currency, found.fee_minor, found.fee_currency) == money


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"id": None}, "id is empty"),
        ({"type": 7}, "type is empty"),
        ({"amount": "1250"}, "amount is missing, or not a whole number"),
        ({"amount": 12.5}, "amount is missing, or not a whole number"),
        ({"fee": None}, "fee is missing, or not a whole number"),
        ({"currency": "zzz"}, "currency is not an ISO 4217 currency"),
        ({"currency": "isk", "amount": 12501}, "amount has no whole ISO 4217 minor units"),
        ({"created": "today"}, "created is missing, or not a whole number"),
        ({"created": 10**15}, "created is not a time"),
        ({"source": CHARGE | {"metadata": {"reference": 7}}}, "metadata.reference is not a printable text"),
    ],
)
def test_what_is_not_understood_says_why(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        row(**changed)


def test_a_bad_row_shows_nothing_of_the_customer() -> None:
    billing = {"billing_details": {"email": "ada@example.com"}}
    text = shown(ROW | {"source": CHARGE | billing, "created": "today"})
    assert '"source": "ch_1"' in text
    assert "ada@" not in text
