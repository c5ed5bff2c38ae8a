"""What a balance transaction of Stripe says. Pure; no SDK.

Source of the types: docs.stripe.com/reports/balance-transaction-types.
"""

from collections.abc import Mapping
from typing import Any

from worker.providers.payouts.reading import child
from worker.providers.records import cells
from worker.providers.records.cells import Unreadable
from worker.providers.records.port import Record, RecordKind

# type -> what it is; its sign is Stripe's. What is in no row is `other`, and kept.
KINDS: Mapping[str, RecordKind] = {
    "charge": "deposit",
    "payment": "deposit",
    "payment_failure_refund": "deposit",  # a debit that failed after it had been counted
    "payment_reversal": "deposit",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund",  # came back
    "payout": "payout",
    "payout_cancel": "payout",
    "payout_failure": "payout",
    "topup": "own_transfer",
    "topup_reversal": "own_transfer",
    "payout_minimum_balance_hold": "ignore",  # held back of what Stripe owes us, and still owed
    "payout_minimum_balance_release": "ignore",
    "reserve_hold": "ignore",
    "reserve_release": "ignore",
    "reserve_transaction": "ignore",
    "reserved_funds": "ignore",
    "transfer": "payout",
    "transfer_cancel": "payout",
    "transfer_failure": "payout",
    "transfer_refund": "payout",
    "stripe_fee": "fee",
    "stripe_fx_fee": "fee",
    "tax_fee": "fee",
}
DISPUTES = frozenset({"dispute", "dispute_reversal"})
"""reporting_category of an `adjustment` that is a chargeback, or its end."""
RELEASED = "partial_capture_reversal"
"""reporting_category of a `refund` that is the rest of an authorisation: the charge was booked as a whole before
(docs.stripe.com/reports/reporting-categories)."""
OF_A_CHARGE = frozenset({"charge", "refund", "dispute"})

Row = Mapping[str, Any]


def record(row: Row, reversed_transfer: Row, *, settles_to_us: bool = True) -> Record:
    """The record of a transaction. `reversed_transfer`: the one that its source brought back. `settles_to_us`: the
    account's automatic payouts go to our own bank. Raises Unreadable."""
    source, type_ = child(row, "source"), _text(row, "type")
    settled = _currency(row)
    amount, currency = _amount(row, source, settled)
    return Record(
        record_id=_text(row, "id"),
        kind=_kind(row, source, type_, settles_to_us=settles_to_us),
        reference=_reference(source, reversed_transfer),
        object_id=_object_id(row, source),
        amount_minor=amount,
        currency=currency,
        fee_minor=_minor(row, "fee", settled),
        fee_currency=settled,
        status=type_,
        occurred_at=cells.epoch(_whole(row, "created"), "created"),
    )


def _kind(row: Row, source: Row, type_: str, *, settles_to_us: bool) -> RecordKind:
    """An automatic payout is Stripe's own transfer of the balance to the account's bank, none that we asked for."""
    if row.get("reporting_category") in DISPUTES or source.get("object") == "dispute":
        return "chargeback"
    if row.get("reporting_category") == RELEASED:
        return "deposit"
    kind = KINDS.get(type_, "other")
    if kind == "payout" and _is_automatic(source):
        return "own_transfer" if settles_to_us else "other"
    return kind


def _is_automatic(source: Row) -> bool:
    """Only what Stripe says so, and nobody has given a reference: anything else may be a payout of ours."""
    return source.get("automatic") is True and not child(source, "metadata").get("reference")


def _amount(row: Row, source: Row, settled: str) -> tuple[int, str]:
    amount = _minor(row, "amount", settled)
    if row.get("exchange_rate") is None or "currency" not in source:
        return amount, settled
    told = "amount_captured" if source.get("amount_captured") is not None else "amount"
    currency = _currency(source)
    own = abs(_minor(source, told, currency))
    return (-own if amount < 0 else own), currency


def _reference(source: Row, reversed_transfer: Row) -> str | None:
    """Ours from the metadata; of a charge without, the payment's id, as its webhooks have it."""
    charge = child(source, "charge")
    for one in (source, charge, reversed_transfer):
        if given := child(one, "metadata").get("reference"):
            return cells.text(given if isinstance(given, str) else "\x00", "metadata.reference")
    if source.get("object") not in OF_A_CHARGE:
        return None
    payment = source.get("payment_intent") or charge.get("payment_intent") or _charge_id(source)
    return cells.text(str(_id(payment) or ""), "payment_intent")


def _charge_id(source: Row) -> object:
    return source.get("id") if source.get("object") == "charge" else source.get("charge")


def _object_id(row: Row, source: Row) -> str | None:
    """The charge, the payout or the transfer itself: what the webhooks call the object."""
    if source.get("object") in OF_A_CHARGE:
        found = _id(_charge_id(source))
    else:
        found = _id(source.get("transfer") or source.get("original_payout")) or _id(row.get("source"))
    return cells.text(str(found or ""), "source")


def _id(value: object) -> object:
    """The id of what may be expanded, or not."""
    return value.get("id") if isinstance(value, Mapping) else value


def _currency(row: Row) -> str:
    return cells.currency(_text(row, "currency").upper(), "currency")


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return cells.need_text(value if isinstance(value, str) else "", name)


def _minor(row: Row, name: str, currency: str) -> int:
    return cells.from_provider("stripe", _whole(row, name), currency, name)


def _whole(row: Row, name: str) -> int:
    if type(value := row.get(name)) is not int:
        raise Unreadable(f"{name} is missing, or not a whole number")
    return value
