"""Stripe's events about deposits: charges, refunds, disputes and payment intents. Pure.

Stripe states one fact in several events (`charge.refunded` and `refund.created`; `charge.dispute.created` and
`funds_withdrawn`): the part's id makes them one, and `capture_total` and `refund_total` are sums, not steps.
What moves money has a balance transaction. A refund object without one is the rest of an authorisation that was
released (which may have one all the same: tasks.webhooks.facts), or a refund that never left; a dispute's list of them
says what was withdrawn and what was reinstated.
An event about the end of something is read as its beginning, too, so that it waits for no other event.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from worker.providers import fields
from worker.providers.port import Move, ProviderEvent
from worker.providers.stripe_money import exponent, step

ANY = "*"
Moves = Mapping[str, tuple[Move, ...]]
"""State -> moves."""

_CAPTURES: dict[str, tuple[Move, ...]] = {"captured": ("capture_total",), "uncaptured": ("authorised",)}
_REFUNDS: dict[str, tuple[Move, ...]] = {
    "withdrawn": ("refunded",),
    "given_back": ("refunded", "refund_reversed"),
    "released": ("released",),  # the rest of an authorisation that was captured in part, or voided
    "voided": ("refund_voided",),  # pending, and in the charge's total, but never withdrawn
}
_DISPUTES: dict[str, tuple[Move, ...]] = {
    "withdrawn": ("chargeback",),
    "reinstated": ("chargeback", "chargeback_reversed"),
}
# event type -> state of its object -> moves; a state that is not here moves nothing. `_state` says what the states are.
# Source of the types: docs.stripe.com/api/events/types.
MOVES: Mapping[str, Moves] = {
    "charge.succeeded": _CAPTURES,
    "charge.captured": _CAPTURES,
    # sent for every capture of several, when `captured` is false until the last
    "charge.updated": {
        "captured": ("capture_total",),
        "refunded_otherwise": ("capture_total", "refund_total"),
    },
    "charge.refunded": {
        "captured": ("refund_total",),
        "uncaptured": ("failed",),
    },  # uncaptured: it was voided
    "charge.failed": {"came_back": ("capture_total", "capture_reversed"), ANY: ("failed",)},
    "charge.expired": {ANY: ("failed",)},  # an uncaptured charge ran out
    "payment_intent.canceled": {"canceled": ("failed",)},
    "refund.created": _REFUNDS,
    "refund.updated": _REFUNDS,
    "refund.failed": _REFUNDS,
    "charge.refund.updated": _REFUNDS,
    "charge.dispute.created": _DISPUTES | {"nothing_withdrawn": (), ANY: ("chargeback",)},
    "charge.dispute.updated": _DISPUTES,
    "charge.dispute.funds_withdrawn": _DISPUTES | {ANY: ("chargeback",)},
    "charge.dispute.funds_reinstated": _DISPUTES | {ANY: ("chargeback_reversed",)},
    "charge.dispute.closed": _DISPUTES | {"won": ("chargeback_reversed",)},
}

Object = Mapping[str, Any]


def payment_events(envelope: Object, seen: ProviderEvent) -> tuple[ProviderEvent, ...]:
    """What an event of a type in MOVES says, of which `seen` is known: nothing, one move, or two."""
    try:
        told = _told(envelope, seen)
    except fields.NotUnderstood as reason:
        return (replace(seen, problem=f"{seen.type}: {reason}"),)
    *earlier, last = told or [{}]
    keyed = [replace(seen, event_key=f"{seen.event_key}:{one['move']}", **one) for one in earlier]
    return (*keyed, replace(seen, **last))


def _told(envelope: Object, seen: ProviderEvent) -> list[dict[str, Any]]:
    fields.need_identity(envelope, "id")
    subject = fields.child(fields.child(envelope, "data"), "object")
    states = MOVES[seen.type]
    moves = states.get(_state(envelope, subject, seen.type), states.get(ANY, ()))
    return [_details(envelope, subject, seen, move) for move in moves]


def _state(envelope: Object, subject: Object, type_: str) -> str:
    """Of a charge `captured` or `uncaptured`, and what its change was; of a refund and a dispute what became of the
    money; of a payment intent its status."""
    match subject.get("object"):
        case "charge" if type_ == "charge.updated":
            return _change(fields.child(fields.child(envelope, "data"), "previous_attributes"), subject)
        case "charge" if type_ == "charge.failed" and subject.get("failure_balance_transaction"):
            return "came_back"
        case "charge":
            return "captured" if _captured(subject) else "uncaptured"
        case "refund":
            return _refund_state(subject)
        case "dispute":
            return _dispute_state(subject)
        case "payment_intent":
            return _intent_state(subject)
        case _:
            raise fields.NotUnderstood("data.object is no charge, refund, dispute or payment intent")


def _captured(charge: Object) -> int:
    """What was captured of it so far (docs.stripe.com/payments/multicapture), in Stripe's units."""
    if not isinstance(is_captured := charge.get("captured"), bool):
        raise fields.NotUnderstood("captured is neither true nor false")
    told = charge.get("amount_captured")
    if told is None:
        return (fields.count(charge.get("amount")) or 0) if is_captured else 0
    if (amount := fields.count(told)) is None:
        raise fields.NotUnderstood("amount_captured is not a whole number")
    return amount


def _change(before: Object, charge: Object) -> str:
    """`before` are the attributes that the change took away; that more was captured it need not say."""
    if charge.get("status") != "succeeded" or not _captured(charge):
        return "other"
    return "refunded_otherwise" if "amount_refunded" in before else "captured"


def _refund_state(refund: Object) -> str:
    """By its balance transaction: null, nothing left our balance (docs.stripe.com/api/refunds/object)."""
    status = refund.get("status")
    if not isinstance(status, str):
        raise fields.NotUnderstood("the refund has no status")
    if refund.get("charge") is None and refund.get("payment_intent") is None:
        return "of_no_charge"  # of a customer's cash balance
    is_over = status in ("failed", "canceled")
    if refund.get("balance_transaction", "unknown") is None:
        return "voided" if is_over else {"succeeded": "released"}.get(status, status)
    if is_over:
        return "given_back"
    return "withdrawn" if status == "succeeded" or _was_withdrawn(refund) else status


def _was_withdrawn(refund: Object) -> bool:
    """A pending refund has left our balance already when it has a balance transaction."""
    return refund.get("status") == "pending" and bool(refund.get("balance_transaction"))


def _dispute_state(dispute: Object) -> str:
    """What its balance transactions say; where it has no list of them, its status. An inquiry has withdrawn nothing,
    nor has a dispute that was prevented (docs.stripe.com/disputes/how-disputes-work)."""
    if not isinstance(status := dispute.get("status"), str):
        raise fields.NotUnderstood("the dispute has no status")
    withdrawn, reinstated = _dispute_sums(dispute)
    if withdrawn:
        return "reinstated" if reinstated else "withdrawn"
    if status.startswith("warning_") or status == "prevented" or dispute.get("balance_transactions") == []:
        return "nothing_withdrawn"
    return status


def _dispute_sums(dispute: Object) -> tuple[int, int]:
    """Withdrawn and reinstated so far in Stripe's units of the dispute's currency. What was settled in another
    currency is taken as the same share of the disputed amount."""
    listed = dispute.get("balance_transactions")
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    amounts = [row["amount"] for row in rows if type(row.get("amount")) is int]
    if len(amounts) != len(rows):
        raise fields.NotUnderstood("a balance transaction of the dispute has no amount")
    out, back = -sum(one for one in amounts if one < 0), sum(one for one in amounts if one > 0)
    if out == 0 or all(row.get("currency") == dispute.get("currency") for row in rows):
        return out, back
    disputed = fields.count(dispute.get("amount")) or 0
    share = disputed * min(back, out) // out
    return disputed, share - share % step(_currency(dispute) or "")


def _intent_state(intent: Object) -> str:
    """`canceled`, when it took no money and has our reference, or a charge that may be known. Others may be anybody's
    abandoned checkout."""
    is_ours = fields.child(intent, "metadata").get("reference") is not None or intent.get("latest_charge")
    return str(intent.get("status")) if is_ours and not intent.get("amount_received") else "of_no_deposit"


def _details(envelope: Object, subject: Object, seen: ProviderEvent, move: Move) -> dict[str, Any]:
    by_charge = subject.get("object") == "payment_intent" and not fields.child(subject, "metadata").get(
        "reference"
    )
    if seen.reference is None and not by_charge:
        raise fields.NotUnderstood("metadata.reference is not a text of 1 to 255 characters")
    told: dict[str, Any] = {"move": move, "object_id": _payment(subject)}
    if move not in ("refund_total", "failed", "authorised"):
        told["part_id"] = fields.need_identity(subject, "id")
    if move == "refund_total":
        told["sequence"] = _moment(envelope, seen.type)
    if move in ("capture_total", "refund_total"):
        told["released_minor"] = _known_release(subject, move, seen.type)
    if move in ("refunded", "refund_reversed", "refund_voided", "released"):
        told["made_at"] = _made_at(envelope, subject, seen.type)
    if subject.get("object") == "dispute" and _dispute_sums(subject)[0]:
        amount_minor, currency = _money(subject, move)
        return told | {"is_total": True, "amount_minor": amount_minor, "currency": currency}
    return told | fields.money_of_move(move, lambda: _money(subject, move))


def _payment(subject: Object) -> str | None:
    """The charge: it is the payment that money moves for. An intent may have none."""
    match subject.get("object"):
        case "charge":
            return fields.need_identity(subject, "id")
        case "payment_intent":
            return fields.identity(subject.get("latest_charge"))
        case _:
            return fields.need_identity(subject, "charge")


def _moment(envelope: Object, type_: str) -> int | None:
    """As tasks.webhooks.refunds.RefundTotal has it: `charge.refunded` is of the beginning of its second."""
    created = fields.count(envelope.get("created"))
    return None if created is None else created * 2 + (type_ == "charge.updated")


def _made_at(envelope: Object, refund: Object, type_: str) -> int | None:
    made = fields.count(refund.get("created"))
    return made if made is not None or type_ != "refund.created" else fields.count(envelope.get("created"))


def _money(subject: Object, move: Move) -> tuple[int, str]:
    may_be_zero = move == "refund_total"
    return fields.iso_money(_amount(subject, move), _currency(subject), exponent, may_be_zero=may_be_zero)


def _amount(subject: Object, move: Move) -> object:
    if move in ("capture_total", "capture_reversed"):
        return _captured(subject) or subject.get("amount")
    if move == "refund_total":
        return subject.get("amount_refunded")
    if subject.get("object") == "dispute":
        withdrawn, reinstated = _dispute_sums(subject)
        return (withdrawn if move == "chargeback" else reinstated) or subject.get("amount")
    return subject.get("amount")


def _known_release(charge: Object, move: Move, type_: str) -> int | None:
    """Its last capture says it, a charge that is open for more captures has none, and a total lets it be guessed."""
    released = _released(charge)
    if type_ == "charge.captured" or charge.get("captured") is False:
        return released
    return released or None if move == "refund_total" else None


def _released(charge: Object) -> int:
    """What of `amount_refunded` seems to be the rest that a capture left over. The only capture of a charge counts it
    there, the last one of several does not (docs.stripe.com/payments/multicapture); before the last nothing is left
    over."""
    if not charge.get("captured"):
        return 0
    refunded, amount = (
        fields.count(charge.get("amount_refunded")) or 0,
        fields.count(charge.get("amount")) or 0,
    )
    rest = max(amount - _captured(charge), 0)
    minor = rest if refunded >= rest else 0
    return fields.iso_money(minor, _currency(charge), exponent, may_be_zero=True)[0]


def _currency(subject: Object) -> str | None:
    currency = subject.get("currency")
    return currency.upper() if isinstance(currency, str) and currency.isascii() else None
