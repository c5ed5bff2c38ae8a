"""One payout of 100 EUR, its attempts, and what the provider may tell of them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from models.payouts.payout import Attempt, Payout, attempt_key, attempt_reference
from models.payouts.states import DUE_STATES, State
from worker.providers.port import PayoutMove, ProviderEvent

PAYOUT_ID = UUID(int=77)
NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
OUTCOMES: dict[State, str] = {
    "approved": "not_sent",
    "sending": "sending",
    "submitted": "submitted",
    "in_doubt": "in_doubt",
    "cooling": "not_sent",
    "paid": "paid",
    "returned": "returned",
    "failed": "failed",
    "cancelled": "abandoned",
    "awaiting_approval": "not_sent",
}
"""state of a payout -> the outcome that its attempt may have then"""
OPEN_OUTCOMES = ("sending", "not_sent", "in_doubt")


def payout(state: State = "submitted", **others: Any) -> Payout:
    """A row as the database would have it."""
    plain = Payout(
        id=PAYOUT_ID,
        tenant="acme",
        owner="ada",
        amount_minor=100,
        currency="EUR",
        provider="sandbox",
        destination="iban-token",
        state=state,
        requested_by="app",
        business_date=date(2026, 3, 14),
        requested_at=NOW,
        attempts_made=1,
        next_attempt_at=NOW if state in DUE_STATES else None,
        claimed_until=NOW + timedelta(seconds=40) if state == "sending" else None,
        in_doubt_since=NOW if state == "in_doubt" else None,
        next_lookup_at=NOW if state == "in_doubt" else None,
        failure_code="some_code" if state in ("failed", "returned") else None,
    )
    return replace(plain, **others)


def attempt(outcome: str = "submitted", number: int = 1, **others: Any) -> Attempt:
    plain = Attempt(
        payout_id=PAYOUT_ID,
        attempt_no=number,
        tenant="acme",
        provider="sandbox",
        provider_key=attempt_key(PAYOUT_ID, number),
        reference=attempt_reference(PAYOUT_ID, number),
        claim_version=number,
        outcome=outcome,
        started_at=NOW,
        first_used_at=NOW,
        key_valid_until=NOW + timedelta(hours=24),
        finished_at=None if outcome in OPEN_OUTCOMES else NOW,
    )
    return replace(plain, **others)


def event(move: PayoutMove, sequence: int | None = None, **others: Any) -> ProviderEvent:
    """An event about the first attempt."""
    plain = ProviderEvent(
        event_key=f"evt:{move}:{sequence}",
        type=move.replace("_", "."),
        move=move,
        reference=attempt_reference(PAYOUT_ID, 1),
        object_id="po-1",
        part_id=None,
        amount_minor=100,
        currency="EUR",
        sequence=sequence,
        occurred_at="2026-03-14T11:59:00+00:00",
    )
    return replace(plain, **others)
