"""The sandbox provider: Standard Webhooks around `{id, type, occurred_at, data}`, in ISO minor units."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from worker.providers import fields, signatures
from worker.providers.ownership import Ownership
from worker.providers.port import PAYOUT_MOVES, BadSignature, Capture, Move, ProviderEvent

# Source of every row: the contract's section "The sandbox provider".
MOVES: Mapping[str, Move] = {
    "deposit.captured": "captured",
    "deposit.failed": "failed",
    "deposit.refunded": "refunded",  # the amount is this refund's, not the sum
    "deposit.chargeback": "chargeback",
    "deposit.chargeback_reversed": "chargeback_reversed",  # of the one that is open
    "payout.submitted": "payout_submitted",
    "payout.paid": "payout_paid",
    "payout.failed": "payout_failed",
    "payout.returned": "payout_returned",
}

secret_key = signatures.standard_webhook_key


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> int:
    """Index of the secret that signed. Raises BadSignature, StaleSignature."""
    return signatures.verify_standard_webhook(secrets, headers, body, now)


def parse(
    body: bytes,
    headers: Mapping[str, str],
    *,
    capture: Capture = "automatic",  # noqa: ARG001 - one shape for every adapter; a deposit is captured at once
    ours: Ownership | None = None,  # noqa: ARG001 - it has one account, and one mode
) -> tuple[ProviderEvent, ...]:
    """The one event of an authentic body. Raises MalformedEvent."""
    return fields.events_of(body, lambda envelope: (_event(envelope, body, headers),))


def _event(envelope: Mapping[str, Any], body: bytes, headers: Mapping[str, str]) -> ProviderEvent:
    seen = _seen(envelope, _sent_id(headers) or fields.unidentified_key(body))
    return fields.understood(seen, lambda: _details(envelope, seen))


def _sent_id(headers: Mapping[str, str]) -> str | None:
    try:
        return signatures.webhook_id(headers)
    except BadSignature:
        return None


def _seen(envelope: Mapping[str, Any], event_key: str) -> ProviderEvent:
    data = fields.child(envelope, "data")
    return fields.event(
        event_key,
        fields.label(envelope.get("type")),
        reference=fields.reference(data.get("reference")),
        object_id=fields.identity(data.get("id")),
        sequence=fields.count(data.get("sequence")),
        occurred_at=fields.utc_time(envelope.get("occurred_at")),
    )


def _details(envelope: Mapping[str, Any], seen: ProviderEvent) -> Mapping[str, Any]:
    if envelope.get("id") != seen.event_key:
        raise fields.NotUnderstood("the id is not the one in the header webhook-id")
    if seen.type == "unknown":
        raise fields.NotUnderstood("the type is missing, or not a name")
    move = MOVES.get(seen.type)
    if move is None:
        return {"refusal": "unknown_event_type"}
    return {"move": move} | _move_details(fields.child(envelope, "data"), move, seen)


def _move_details(data: Mapping[str, Any], move: Move, seen: ProviderEvent) -> dict[str, Any]:
    if seen.reference is None:
        raise fields.NotUnderstood("data.reference is missing, or not a text of 1 to 255 characters")
    if seen.sequence is None:
        raise fields.NotUnderstood("data.sequence is missing, or not a whole number")
    object_id = fields.need_identity(data, "id")
    money = fields.money_of_move(
        move, lambda: fields.iso_money(data.get("amount_minor"), data.get("currency"))
    )
    if move in PAYOUT_MOVES:
        return {"code": fields.failure_code(data.get("code"))} | money
    return {"part_id": _part_id(move, object_id, seen.sequence)} | money


def _part_id(move: Move, object_id: str, sequence: int) -> str | None:
    if move == "captured":
        return object_id
    return f"{object_id}:{sequence}" if move in ("refunded", "chargeback") else None
