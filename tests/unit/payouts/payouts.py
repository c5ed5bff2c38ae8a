"""A payout and a policy for the tests of the rules: valid by default, each field there to be overridden."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from models.payouts.payout import Attempt, Payout, attempt_key, attempt_reference
from models.payouts.states import State

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
PAYOUT_ID = UUID("0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f")


def a_payout(state: State = "approved", **others: Any) -> Payout:
    given: dict[str, Any] = {
        "id": PAYOUT_ID,
        "tenant": "acme",
        "owner": "ada",
        "amount_minor": 100,
        "currency": "EUR",
        "provider": "sandbox",
        "destination": "ba_ada",
        "state": state,
        "requested_by": "app:cashier",
        "business_date": date(2026, 3, 14),
        "requested_at": NOON,
    }
    return Payout(**given | others)


def an_attempt(outcome: str = "not_sent", attempt_no: int = 1, **others: Any) -> Attempt:
    given: dict[str, Any] = {
        "payout_id": PAYOUT_ID,
        "attempt_no": attempt_no,
        "tenant": "acme",
        "provider": "sandbox",
        "provider_key": attempt_key(PAYOUT_ID, attempt_no),
        "reference": attempt_reference(PAYOUT_ID, attempt_no),
        "claim_version": 1,
        "outcome": outcome,
        "started_at": NOON,
        "first_used_at": NOON,
        "key_valid_until": NOON,
    }
    return Attempt(**given | others)
