"""Adyen: standard notifications (signed item by item) and balance platform webhooks (signed as a whole).

Which of the two a request is, its headers decide, for the signature and for the reading alike: an item's
signature says nothing of the body around it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from models.money import exponent as iso_exponent
from worker.providers import adyen_items, fields, ownership, signatures
from worker.providers.ownership import Ownership
from worker.providers.port import Capture, Move, ProviderEvent

TRANSFER = "balancePlatform.transfer."

Part = Literal["own", "payment", "second", "none"]
"""Which id names the part: the event's pspReference, the payment's, the pspReference with `:2`, or none."""

# eventCode:success -> (move, part); what is not here is nothing that a deposit does.
# Source of the codes: github.com/Adyen/adyen-openapi, Webhooks-v1; of their meaning:
# docs.adyen.com/online-payments/capture, /cancel, /refund;
# docs.adyen.com/risk-management/disputes-api/dispute-notifications
# ("all events related to a dispute have the same PSP reference").
_ALWAYS: dict[str, tuple[Move, Part]] = {
    "AUTHORISATION:false": ("failed", "none"),  # refused; a second try of the same payment may still succeed
    "EXPIRE:true": ("expired", "none"),
    "OFFER_CLOSED:true": ("failed", "none"),  # the shopper left: no AUTHORISATION follows
    "REFUND:true": ("refunded", "own"),
    "CANCEL_OR_REFUND:true:refund": ("refunded", "own"),
    "REFUND_FAILED:true": ("refund_reversed", "own"),  # own: the pspReference of the refund
    "REFUNDED_REVERSED:true": ("refund_reversed", "own"),
    "CHARGEBACK:true": ("chargeback", "own"),
    "CHARGEBACK_REVERSED:true": ("chargeback_reversed", "own"),
    "SECOND_CHARGEBACK:true": ("chargeback", "second"),  # after a reversal, so not the same chargeback again
    "SETTLED_REVERSED:true": ("returned", "own"),
}
# The money is ours with the authorisation; what ends it before its capture takes it back. A payment that is captured by
# hand all the same is worth what its captures say (tasks.webhooks.facts.Deposit.captured_of).
_AUTOMATIC: dict[str, tuple[Move, Part]] = {
    "AUTHORISATION:true": ("captured", "own"),
    "CAPTURE:true": ("captured", "own"),
    "CAPTURE_FAILED:true": ("capture_reversed", "own"),  # where no such capture is known: the authorisation's
    "CANCELLATION:true": ("capture_reversed", "payment"),
    "TECHNICAL_CANCEL:true": ("capture_reversed", "payment"),
    "CANCEL_OR_REFUND:true:cancel": ("capture_reversed", "payment"),
}
# The money is ours with each capture. CAPTURE:false is missing on purpose: nothing was captured, and a CAPTURE:true
# with the same pspReference may still follow; what fails after it was captured is CAPTURE_FAILED.
_MANUAL: dict[str, tuple[Move, Part]] = {
    "AUTHORISATION:true": ("authorised", "none"),
    "CAPTURE:true": ("captured", "own"),
    "CAPTURE_FAILED:true": ("capture_reversed", "own"),
    "CANCELLATION:true": ("failed", "none"),
    "TECHNICAL_CANCEL:true": ("failed", "none"),
    "CANCEL_OR_REFUND:true:cancel": ("failed", "none"),
}
MOVES: Mapping[Capture, Mapping[str, tuple[Move, Part]]] = {
    "automatic": _ALWAYS | _AUTOMATIC,
    "manual": _ALWAYS | _MANUAL,
}

# What moves no money of a deposit's, or none that is captured. The deprecated payout codes are of payouts that we do
# not make; a won arbitration gives its money back with a CHARGEBACK_REVERSED, a lost one takes it with a
# SECOND_CHARGEBACK. What is in no list is not known, or is for a person (REFUND_NOT_CLEARED: the customer has it).
NON_FINANCIAL_CODES = frozenset((
    "ACH_NOTIFICATION_OF_CHANGE", "AUTHENTICATION", "AUTHORISATION_ADJUSTMENT", "AUTHORISE_REFERRAL",
    "AUTORESCUE", "AUTORESCUE_NEXT_ATTEMPT", "CANCEL_AUTORESCUE", "DEACTIVATE_RECURRING",
    "DIRECT_DEBIT_NOTICE_OF_CHANGE_NOTIFICATION", "DISABLE_RECURRING", "DISPUTE_DEFENSE_PERIOD_ENDED",
    "DISPUTE_OPENED_WITH_CHARGEBACK", "DONATION", "FRAUD_ONLY", "FUND_TRANSFER", "HANDLED_EXTERNALLY",
    "INFORMATION_SUPPLIED", "ISSUER_COMMENTS", "ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "MANUAL_REVIEW_ACCEPT",
    "MANUAL_REVIEW_REJECT", "NOTIFICATION_OF_CHARGEBACK", "NOTIFICATION_OF_FRAUD", "ORDER_CLOSED",
    "ORDER_OPENED", "PAIDOUT_REVERSED", "PAYOUT_DECLINE", "PAYOUT_EXPIRE", "PAYOUT_THIRDPARTY", "PENDING",
    "POSTPONED_REFUND", "PREARBITRATION_ACCEPTED", "PREARBITRATION_DECLINED",
    "PREARBITRATION_ISSUER_WITHDRAWN", "PREARBITRATION_LOST", "PREARBITRATION_OPEN", "PREARBITRATION_WON",
    "PROCESS_RETRY", "RECURRING_CONTRACT", "RECURRING_TOKEN_CREATED", "RECURRING_TOKEN_DISABLED",
    "REFUND_FUNDS_TRANSFER", "REFUND_WITH_DATA", "REPORT_AVAILABLE", "REQUEST_FOR_INFORMATION",
    "SCHEME_ARBITRATION", "SCHEME_ARBITRATION_LOST", "SCHEME_ARBITRATION_WON", "VOID_PENDING_REFUND",
))  # fmt: skip
KNOWN_CODES = NON_FINANCIAL_CODES | {row.split(":")[0] for table in MOVES.values() for row in table}
NON_TRANSFER_TYPES = (
    "accountHolder", "authentication", "balanceAccount", "balanceAccountSweep", "bankVerification", "cardOrder",
    "configuration", "dispute", "mandate", "negativeBalanceCompensationWarning", "networkToken", "payment",
    "paymentInstrument", "report", "score", "transaction",
)  # fmt: skip
"""Second words of `balancePlatform.` types that are about no transfer."""

# data.status of a transfer -> move. Source of the statuses: github.com/Adyen/adyen-openapi, TransferWebhooks-v4; of
# their meaning: docs.adyen.com/payouts/payout-service/payout-lifecycle. `booked` is paid: then "the funds are
# deducted from your balance account", and a bank transfer that is not instant is told of no further (`credited` and
# `failed` after it are for instant ones; `returned` is for all).
TRANSFER_MOVES: Mapping[str, Move] = {
    "received": "payout_submitted",
    "pendingApproval": "payout_submitted",
    "approvalPending": "payout_submitted",
    "pendingExecution": "payout_submitted",
    "pending": "payout_submitted",
    "authorised": "payout_submitted",
    "bookingPending": "payout_submitted",
    "booked": "payout_paid",
    "credited": "payout_paid",
    "failed": "payout_failed",
    "refused": "payout_failed",
    "rejected": "payout_failed",
    "cancelled": "payout_failed",
    "expired": "payout_failed",
    "returned": "payout_returned",
}
PAYOUT_CATEGORIES = ("bank", "card")
"""Other outgoing transfers stay within the platform. An `internal` one is a payout when it has our reference."""
OUR_REFERENCE = re.compile(r"[0-9a-f]{32}-[1-9][0-9]*")
"""models.payouts.payout.attempt_reference"""

# docs.adyen.com/development-resources/currency-codes: all other currencies are as in ISO 4217.
EXPONENTS: Mapping[str, int] = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}

secret_key = signatures.adyen_key


def verify(
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,  # noqa: ARG001 - one shape for every adapter; Adyen signs no time
) -> int:
    """Index of the secret that signed. Raises BadSignature, MalformedEvent."""
    if _is_balance_platform(headers):
        return signatures.verify_adyen_payload(secrets, headers, body)
    return adyen_items.verify(secrets, adyen_items.read(body))


def parse(
    body: bytes,
    headers: Mapping[str, str],
    *,
    capture: Capture = "automatic",
    ours: Ownership | None = None,
) -> tuple[ProviderEvent, ...]:
    """The events of an authentic body, one for each item that is signed. Raises MalformedEvent."""
    if _is_balance_platform(headers):
        return fields.events_of(body, lambda envelope: (_transfer_event(envelope, body, ours),))
    notification = adyen_items.read(body)

    def event(place: int, item: Mapping[str, Any]) -> ProviderEvent:
        key = fields.unidentified_key(body, place)
        found = fields.identified(key, lambda: _notification_event(item, key, capture))
        return ownership.of_adyen_item(found, notification.live, item, ours)

    return tuple(event(place, item) for place, item in notification.signed())


def exponent(currency: str) -> int:
    """Decimal places of `currency` at Adyen. Raises UnknownCurrency."""
    return EXPONENTS[currency] if currency in EXPONENTS else iso_exponent(currency)


def _is_balance_platform(headers: Mapping[str, str]) -> bool:
    return signatures.has_header(headers, "hmacsignature")


def _notification_event(item: Mapping[str, Any], fallback_key: str, capture: Capture) -> ProviderEvent:
    code, psp_reference = fields.label(item.get("eventCode")), fields.identity(item.get("pspReference"))
    type_ = f"{code}:{_success(item)}"
    key = fields.identity(f"{code}:{psp_reference}:{_success(item)}") if psp_reference else None
    seen = fields.event(
        key or fallback_key,
        type_,
        reference=fields.reference(item.get("merchantReference")),
        object_id=fields.identity(item.get("originalReference")) or psp_reference,
        occurred_at=fields.utc_time(item.get("eventDate")),
    )
    return fields.understood(seen, lambda: _details(item, seen, capture))


def _success(item: Mapping[str, Any]) -> str:
    """`true`, `false` or `unknown`: sent as a text, or as a boolean."""
    value = item.get("success")
    text = str(value).lower() if isinstance(value, bool | str) else ""
    return text if text in ("true", "false") else "unknown"


def _details(item: Mapping[str, Any], seen: ProviderEvent, capture: Capture) -> Mapping[str, Any]:
    psp_reference = fields.need_identity(item, "pspReference")
    if "unknown" in seen.type.split(":"):
        raise fields.NotUnderstood("eventCode is not a name, or success is neither true nor false")
    if seen.type.split(":")[0] not in KNOWN_CODES:
        return {"refusal": "unknown_event_type"}
    row = MOVES[capture].get(_row(item, seen, capture))
    amount = fields.child(item, "amount")
    if row is None or _is_card_check(seen, amount):
        return {}
    move, part = row
    if seen.reference is None and not item.get("originalReference"):
        raise fields.NotUnderstood("merchantReference is missing, or not a text of 1 to 255 characters")
    money = fields.money_of_move(
        move, lambda: fields.iso_money(amount.get("value"), amount.get("currency"), exponent)
    )
    return {"move": move, "part_id": _part_id(part, psp_reference, seen.object_id)} | money


def _is_card_check(seen: ProviderEvent, amount: Mapping[str, Any]) -> bool:
    """An authorisation of nothing (docs.adyen.com/online-payments/tokenization): no money moved."""
    return seen.type == "AUTHORISATION:true" and fields.count(amount.get("value")) == 0


def _row(item: Mapping[str, Any], seen: ProviderEvent, capture: Capture) -> str:
    """The key in MOVES. Which of the two CANCEL_OR_REFUND became, only additionalData says, which is not signed: where
    the money is ours with the authorisation, both take it back."""
    if seen.type != "CANCEL_OR_REFUND:true":
        return seen.type
    action = fields.child(item, "additionalData").get("modification.action")
    if action is None and capture == "automatic":
        action = "refund"
    if action not in ("cancel", "refund"):
        raise fields.NotUnderstood("modification.action is neither cancel nor refund")
    return f"{seen.type}:{action}"


def _part_id(part: Part, psp_reference: str, payment: str | None) -> str | None:
    return {"own": psp_reference, "payment": payment, "second": f"{psp_reference}:2", "none": None}[part]


def _transfer_event(envelope: Mapping[str, Any], body: bytes, ours: Ownership | None) -> ProviderEvent:
    return ownership.of_balance_platform(_balance_platform_event(envelope, body), envelope, ours)


def _balance_platform_event(envelope: Mapping[str, Any], body: bytes) -> ProviderEvent:
    """A transfer's identity is (id, sequenceNumber); the number restores the order."""
    data = fields.child(envelope, "data")
    seen = fields.event(
        fields.unidentified_key(body),
        fields.label(envelope.get("type")),
        reference=fields.reference(data.get("reference")),
        object_id=fields.identity(data.get("id")),
        sequence=fields.count(data.get("sequenceNumber")),
        occurred_at=fields.utc_time(envelope.get("timestamp")),
    )
    key = _transfer_key(seen)
    keyed = replace(seen, event_key=key) if key else seen
    return fields.understood(keyed, lambda: _transfer_details(data, keyed))


def _transfer_key(seen: ProviderEvent) -> str | None:
    if not seen.type.startswith(TRANSFER) or seen.object_id is None or seen.sequence is None:
        return None
    return fields.identity(f"transfer:{seen.object_id}:{seen.sequence}")


def _transfer_details(data: Mapping[str, Any], seen: ProviderEvent) -> Mapping[str, Any]:
    if seen.type == "unknown":
        raise fields.NotUnderstood("the type is missing, or not a name")
    if not seen.type.startswith(TRANSFER):
        known = seen.type.startswith("balancePlatform.") and seen.type.split(".")[1] in NON_TRANSFER_TYPES
        return {} if known else {"refusal": "unknown_event_type"}
    if not seen.event_key.startswith("transfer:"):
        raise fields.NotUnderstood("data.id or data.sequenceNumber is missing")
    if not _is_payout(data, seen):
        return {}
    move, amount = TRANSFER_MOVES.get(fields.label(data.get("status"))), fields.child(data, "amount")
    if move is None:  # `error` too: it proves nothing
        raise fields.NotUnderstood("the status says neither that it was paid nor that it failed")
    money = fields.money_of_move(
        move, lambda: fields.iso_money(amount.get("value"), amount.get("currency"), exponent)
    )
    return {"move": move, "code": _transfer_code(data, move)} | money


def _is_payout(data: Mapping[str, Any], seen: ProviderEvent) -> bool:
    is_ours = data.get("category") == "internal" and bool(OUR_REFERENCE.fullmatch(seen.reference or ""))
    return data.get("direction") == "outgoing" and (is_ours or data.get("category") in PAYOUT_CATEGORIES)


def _transfer_code(data: Mapping[str, Any], move: Move) -> str | None:
    return fields.failure_code(data.get("reason")) if move in ("payout_failed", "payout_returned") else None
