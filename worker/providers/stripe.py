"""Stripe: its events about charges, refunds, disputes, payouts and transfers, in its own minor units.

What those about deposits say is in `stripe_payments`. Without `metadata.reference` the reference is the payment intent,
else the charge: refunds and disputes do not inherit the charge's metadata, their deposit is found by `object_id`. A
payout or transfer has our reference in its metadata, or is not ours. Stripe counts no events: their order is the
second, then submitted, paid, failed, returned.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from worker.providers import fields, ownership, signatures, stripe_payments, stripe_thin
from worker.providers.ownership import Ownership
from worker.providers.port import Capture, Move, ProviderEvent
from worker.providers.stripe_money import exponent as exponent

_PAYOUT_STATES: Mapping[str, Move | None] = {  # docs.stripe.com/api/payouts/object#payout_object-status
    "pending": "payout_submitted",
    "in_transit": "payout_submitted",
    "paid": "payout_paid",  # "some payouts that fail might initially show as paid, then change to failed"
    "failed": "payout_failed",
    "canceled": "payout_failed",
    # docs.stripe.com/connect/payout-reversals: of a payout that has an `original_payout`; its own end says whether the
    # money of that one came back
    "reversal_pending": None,
    "reversal_in_transit": None,
    "reversal_paid": "payout_reversed",
    "reversal_failed": "payout_reversal_failed",
    "reversal_canceled": "payout_reversal_failed",
}
_TRANSFER_STATES: Mapping[str, Move | None] = {  # docs.stripe.com/api/transfers/object: it is made at once
    "made": "payout_paid",
    "reversed": "payout_returned",
}
# event type -> state of its object -> move; a state that is not here is nothing that concerns us.
# States: of a payout its status, of one that is to bring another one back `reversal_` and its status; of a transfer
# `made` or `reversed`.
# Source of the types: docs.stripe.com/api/events/types.
MOVES: Mapping[str, Mapping[str, Move | None]] = {
    "payout.created": _PAYOUT_STATES,
    "payout.updated": _PAYOUT_STATES,
    "payout.paid": _PAYOUT_STATES,
    "payout.failed": _PAYOUT_STATES,
    "payout.canceled": _PAYOUT_STATES,
    "transfer.created": _TRANSFER_STATES,
    "transfer.updated": _TRANSFER_STATES,
    "transfer.reversed": _TRANSFER_STATES,
}
_RANKS: Mapping[str, int] = {
    "payout_submitted": 0,
    "payout_paid": 1,
    "payout_failed": 2,
    "payout_returned": 3,
    "payout_reversed": 1,
    "payout_reversal_failed": 2,
}
"""The order of what is told of one payout, or of one reversal, within a second."""

TYPES = frozenset(stripe_payments.MOVES) | frozenset(MOVES)
"""The events that may move money of ours."""

# What moves no deposit and no payout: types of the families that have some that do, and whole families. Those that move
# Stripe's balance otherwise (top-ups, reserves, fees, cash balances) are found by reconciliation. What is in no list is
# not known: docs.stripe.com/api/events/types.
NON_FINANCIAL_TYPES = frozenset(
    {
        "charge.pending",
        "payment_intent.amount_capturable_updated",
        "payment_intent.created",
        "payment_intent.partially_funded",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
        "payout.reconciliation_completed",
    }
)
NON_FINANCIAL_FAMILIES = frozenset((
    "account", "application_fee", "apps", "balance", "balance_settings", "billing", "billing_portal",
    "capability", "cash_balance", "checkout", "climate", "coupon", "credit_note", "customer",
    "customer_cash_balance_transaction", "entitlements", "file", "financial_connections", "identity",
    "invoice", "invoice_payment", "invoiceitem", "issuing_authorization", "issuing_card",
    "issuing_cardholder", "issuing_dispute", "issuing_personalization_design", "issuing_token",
    "issuing_transaction", "mandate", "payment_link", "payment_method", "person", "plan", "price", "product",
    "promotion_code", "quote", "radar", "reporting", "reserve", "review", "setup_intent", "sigma", "source",
    "subscription_schedule", "tax", "tax_rate", "terminal", "test_helpers", "three_d_secure", "topup",
    "treasury",
))  # fmt: skip

secret_key = signatures.stripe_key


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> int:
    """Index of the secret that signed. Raises BadSignature, StaleSignature."""
    return signatures.verify_stripe(secrets, headers, body, now)


def parse(
    body: bytes,
    headers: Mapping[str, str],  # noqa: ARG001 - one shape for every adapter
    *,
    capture: Capture = "automatic",  # noqa: ARG001 - each charge says itself whether it is captured
    ours: Ownership | None = None,
) -> tuple[ProviderEvent, ...]:
    """The one event of an authentic body; two, where it tells of the end of something that may not be known to have
    begun. Raises MalformedEvent."""
    return fields.events_of(body, lambda envelope: _events(envelope, body, ours))


def _events(envelope: Mapping[str, Any], body: bytes, ours: Ownership | None) -> tuple[ProviderEvent, ...]:
    if stripe_thin.is_thin(envelope):
        return (ownership.of_stripe(stripe_thin.event(envelope, body), envelope, ours),)
    *earlier, last = (
        ownership.of_stripe(one, envelope, ours) for one in _read(envelope, _seen(envelope, body))
    )
    return (last,) if last.refusal else (*earlier, last)


def _read(envelope: Mapping[str, Any], seen: ProviderEvent) -> tuple[ProviderEvent, ...]:
    if seen.type in stripe_payments.MOVES:
        return stripe_payments.payment_events(envelope, seen)
    if not _is_known(seen.type):
        return (fields.unknown_type(seen),)
    return (fields.understood(seen, lambda: _details(envelope, seen)),)


def _is_known(type_: str) -> bool:
    """Is it known whether events of this type move money? A type that cannot be read is malformed, and not unknown."""
    return (
        type_ in MOVES
        or type_ in NON_FINANCIAL_TYPES
        or type_.split(".")[0] in NON_FINANCIAL_FAMILIES | {"unknown"}
    )


def _seen(envelope: Mapping[str, Any], body: bytes) -> ProviderEvent:
    return fields.event(
        fields.identity(envelope.get("id")) or fields.unidentified_key(body),
        fields.label(envelope.get("type")),
        reference=_reference(fields.child(fields.child(envelope, "data"), "object")),
        occurred_at=fields.epoch_time(envelope.get("created")),
    )


def _reference(subject: Mapping[str, Any]) -> str | None:
    """The first that is there. One that cannot be read is none, and no reason to look at the next."""
    given = fields.child(subject, "metadata").get("reference")
    if given is None:
        given = subject.get("payment_intent")
    return fields.reference(_charge_id(subject) if given is None else given)


def _charge_id(subject: Mapping[str, Any]) -> object:
    return subject.get("id") if subject.get("object") == "charge" else subject.get("charge")


def _details(envelope: Mapping[str, Any], seen: ProviderEvent) -> Mapping[str, Any]:
    fields.need_identity(envelope, "id")
    if seen.type == "unknown":
        raise fields.NotUnderstood("the type is missing, or not a name")
    if seen.type not in MOVES:
        return {}
    subject = fields.child(fields.child(envelope, "data"), "object")
    states = MOVES[seen.type]
    move = states.get(_state(subject))
    return {} if move is None else _payout_details(envelope, subject, move, seen)


def _payout_details(
    envelope: Mapping[str, Any], subject: Mapping[str, Any], move: Move, seen: ProviderEvent
) -> Mapping[str, Any]:
    if seen.reference is None and "reference" in fields.child(subject, "metadata"):
        raise fields.NotUnderstood("metadata.reference is not a text of 1 to 255 characters")
    if (created := fields.count(envelope.get("created"))) is None or seen.occurred_at is None:
        raise fields.NotUnderstood("created is missing, or not a time")
    failed = {"canceled": "canceled"}.get(str(subject.get("status")), subject.get("failure_code"))
    told = {
        "move": move,
        "object_id": fields.need_identity(subject, "id"),
        "sequence": created * 10 + _RANKS[move],
        "code": fields.failure_code(failed),
    }
    return told | fields.money_of_move(move, lambda: _money(subject)) | _reversal(subject, move)


def _reversal(payout: Mapping[str, Any], move: Move) -> dict[str, Any]:
    """The payout that is to come back is what it is about: the amount is that one's, with the other sign."""
    if move not in ("payout_reversed", "payout_reversal_failed"):
        return {}
    amount = payout.get("amount")
    positive = {**payout, "amount": abs(amount)} if isinstance(amount, int) else payout
    about = {
        "object_id": fields.need_identity(payout, "original_payout"),
        "part_id": fields.need_identity(payout, "id"),
        "code": "reversed" if move == "payout_reversed" else fields.failure_code(payout.get("failure_code")),
    }
    return about | fields.money_of_move(move, lambda: _money(positive))


def _state(subject: Mapping[str, Any]) -> str:
    kind = subject.get("object")
    if kind == "transfer":
        return _transfer_state(subject)
    if kind != "payout" or not isinstance(status := subject.get("status"), str):
        raise fields.NotUnderstood("data.object is neither a transfer nor a payout with a status")
    return status if subject.get("original_payout") is None else f"reversal_{status}"


def _transfer_state(transfer: Mapping[str, Any]) -> str:
    if not isinstance(whole := transfer.get("reversed"), bool):
        raise fields.NotUnderstood("reversed is neither true nor false")
    is_ours = fields.child(transfer, "metadata").get("reference") is not None
    if is_ours and not whole and fields.count(transfer.get("amount_reversed")):
        raise fields.NotUnderstood("only a part of the transfer came back")
    return "reversed" if whole else "made"


def _money(subject: Mapping[str, Any]) -> tuple[int, str]:
    currency = subject.get("currency")
    upper = currency.upper() if isinstance(currency, str) and currency.isascii() else None
    return fields.iso_money(subject.get("amount"), upper, exponent)
