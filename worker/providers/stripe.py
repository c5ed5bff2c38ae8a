"""Stripe: its events about charges, refunds, disputes, payouts and transfers, in its own minor units.

Stripe states one fact in several events (`charge.refunded` and `refund.created`; `charge.dispute.created` and
`funds_withdrawn`): the part's id makes them one, and `refund_total` is a sum, not a step.
Without `metadata.reference` the reference is the payment intent, else the charge: refunds and disputes do not
inherit the charge's metadata, their deposit is found by `object_id`. A payout or transfer has our reference in its
metadata, or is not ours. Stripe counts no events: their order is the second, then submitted, paid, failed, returned.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from models.money import exponent as iso_exponent
from worker.providers import fields, ownership, signatures, stripe_thin
from worker.providers.ownership import Ownership
from worker.providers.port import PAYOUT_MOVES, Capture, Move, ProviderEvent

ANY = "*"
_REFUND_STATES: Mapping[str, Move | None] = {  # docs.stripe.com/api/refunds/object#refund_object-status
    "succeeded": "refunded",
    "failed": "refund_reversed",
    "canceled": "refund_reversed",
}
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
# event type -> state of its object -> move; a type or state that is not here is nothing that concerns us.
# States: of a charge `captured` or `uncaptured`; of a refund, dispute or payout its status (`warning_*`: `inquiry`);
# of a transfer `made` or `reversed`; of a payout that is to bring another one back `reversal_` and its status.
# Source of the types: docs.stripe.com/api/events/types.
MOVES: Mapping[str, Mapping[str, Move | None]] = {
    "charge.succeeded": {"captured": "captured"},  # uncaptured: authorised only, charge.captured follows
    "charge.captured": {"captured": "captured"},
    "charge.failed": {ANY: "failed"},
    "charge.expired": {ANY: "failed"},  # an uncaptured charge ran out
    "charge.refunded": {
        "captured": "refund_total",
        "uncaptured": "failed",
    },  # uncaptured: its hold was released
    "refund.created": _REFUND_STATES,
    "refund.updated": _REFUND_STATES,
    "charge.refund.updated": _REFUND_STATES,
    "refund.failed": {ANY: "refund_reversed"},
    # docs.stripe.com/disputes/how-disputes-work: an inquiry, or a prevented dispute, has withdrawn nothing
    "charge.dispute.created": {"inquiry": None, "prevented": None, ANY: "chargeback"},
    "charge.dispute.funds_withdrawn": {ANY: "chargeback"},
    "charge.dispute.funds_reinstated": {ANY: "chargeback_reversed"},
    "charge.dispute.closed": {"won": "chargeback_reversed"},
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

# docs.stripe.com/currencies: zero-decimal, "special cases" (two decimals, always 00), three-decimal.
EXPONENTS: Mapping[str, int] = (
    dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"), 0)
    | dict.fromkeys(("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"), 0)
    | dict.fromkeys(("ISK", "UGX"), 2)
    | dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3)
)

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
    """The one event of an authentic body. Raises MalformedEvent."""
    return (fields.event_of(body, lambda envelope: _event(envelope, body, ours)),)


def _event(envelope: Mapping[str, Any], body: bytes, ours: Ownership | None) -> ProviderEvent:
    if stripe_thin.is_thin(envelope):
        return ownership.of_stripe(stripe_thin.event(envelope, body), envelope, ours)
    seen = _seen(envelope, body)
    event = fields.understood(seen, lambda: _details(envelope, seen))
    return ownership.of_stripe(event, envelope, ours)


def exponent(currency: str) -> int:
    """Decimal places of `currency` at Stripe. Raises NotUnderstood (Stripe documents none), UnknownCurrency."""
    if currency in EXPONENTS:
        return EXPONENTS[currency]
    if iso_exponent(currency) != 2:
        raise fields.NotUnderstood(f"Stripe documents no minor unit of {currency}")
    return 2


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
    move = states.get(_state(subject), states.get(ANY))
    if move in PAYOUT_MOVES:
        return _payout_details(envelope, subject, move, seen)
    return {} if move is None else _move_details(subject, move, seen)


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
    return told | fields.money_of_move(move, lambda: _money(subject, move)) | _reversal(subject, move)


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
    return about | fields.money_of_move(move, lambda: _money(positive, move))


def _state(subject: Mapping[str, Any]) -> str:
    kind = subject.get("object")
    if kind == "charge":
        if not isinstance(captured := subject.get("captured"), bool):
            raise fields.NotUnderstood("captured is neither true nor false")
        return "captured" if captured else "uncaptured"
    if kind == "transfer":
        return _transfer_state(subject)
    if kind not in ("refund", "dispute", "payout") or not isinstance(status := subject.get("status"), str):
        raise fields.NotUnderstood(
            "data.object is neither a charge nor a transfer, nor anything with a status"
        )
    if kind == "payout" and subject.get("original_payout") is not None:
        return f"reversal_{status}"
    return "inquiry" if status.startswith("warning_") else status


def _transfer_state(transfer: Mapping[str, Any]) -> str:
    if not isinstance(whole := transfer.get("reversed"), bool):
        raise fields.NotUnderstood("reversed is neither true nor false")
    if not whole and fields.count(transfer.get("amount_reversed")):
        raise fields.NotUnderstood("only a part of the transfer came back")
    return "reversed" if whole else "made"


def _move_details(subject: Mapping[str, Any], move: Move, seen: ProviderEvent) -> Mapping[str, Any]:
    if seen.reference is None:
        raise fields.NotUnderstood("metadata.reference is not a text of 1 to 255 characters")
    part_id = fields.need_identity(subject, "id")
    object_id = fields.need_identity({"charge": _charge_id(subject)}, "charge")
    if move == "refund_total" and subject.get("amount_refunded") == _released(subject) > 0:
        return {"object_id": object_id}
    money = fields.money_of_move(move, lambda: _money(subject, move))
    named = move not in ("refund_total", "failed")
    return {"move": move, "object_id": object_id, "part_id": part_id if named else None} | money


def _money(subject: Mapping[str, Any], move: Move) -> tuple[int, str]:
    currency = subject.get("currency")
    upper = currency.upper() if isinstance(currency, str) and currency.isascii() else None
    return fields.iso_money(_amount(subject, move), upper, exponent)


def _amount(subject: Mapping[str, Any], move: Move) -> object:
    if move == "captured" and subject.get("amount_captured") is not None:
        return subject["amount_captured"]
    if move == "refund_total":
        refunded = fields.count(subject.get("amount_refunded"))
        return None if refunded is None else refunded - _released(subject)
    return subject.get("amount")


def _released(charge: Mapping[str, Any]) -> int:
    """What a partial capture left over: it went back unpaid, and `amount_refunded` counts it too."""
    amount, captured = fields.count(charge.get("amount")), fields.count(charge.get("amount_captured"))
    return 0 if amount is None or captured is None else max(amount - captured, 0)
