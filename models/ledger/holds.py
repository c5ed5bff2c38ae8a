"""Holds: money an owner has promised to an open payout, moved from `available` to `held`.

Each hold is settled once: capture and release share one key, so whichever comes second is refused
(`idempotency_conflict`), and neither can touch a hold that was never placed (`requirement_missing`).
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from models.ledger.codes import held_code, wallet_code
from models.ledger.outcomes import Leg, Posting


@dataclass(frozen=True, slots=True)
class Hold:
    """What is held: `id` is unique per tenant (a payout's id), the amount in minor units."""

    tenant: str
    id: str
    owner: str
    currency: str
    amount_minor: int

    @property
    def placed_key(self) -> str:
        return f"hold:{self.id}:placed"

    @property
    def settled_key(self) -> str:
        return f"hold:{self.id}:settled"


def place(hold: Hold, *, occurred_at: datetime, job_id: UUID | None = None) -> Posting:
    """Available -> held."""
    legs = _legs(hold, wallet_code(hold.owner), held_code(hold.owner))
    return _posting(hold, "hold.placed", hold.placed_key, legs, occurred_at, job_id)


def capture(hold: Hold, *, to_code: str, occurred_at: datetime, job_id: UUID | None = None) -> Posting:
    """Held -> `to_code` (the provider's clearing account): the payout was paid."""
    legs = _legs(hold, held_code(hold.owner), to_code)
    return _posting(hold, "hold.captured", hold.settled_key, legs, occurred_at, job_id, hold.placed_key)


def release(hold: Hold, *, occurred_at: datetime, job_id: UUID | None = None) -> Posting:
    """Held -> available: the payout will not be paid."""
    legs = _legs(hold, held_code(hold.owner), wallet_code(hold.owner))
    return _posting(hold, "hold.released", hold.settled_key, legs, occurred_at, job_id, hold.placed_key)


def _legs(hold: Hold, from_code: str, to_code: str) -> tuple[Leg, ...]:
    return (
        Leg(from_code, hold.currency, -hold.amount_minor),
        Leg(to_code, hold.currency, hold.amount_minor),
    )


def _posting(
    hold: Hold,
    kind: str,
    key: str,
    legs: tuple[Leg, ...],
    occurred_at: datetime,
    job_id: UUID | None,
    requires: str | None = None,
) -> Posting:
    return Posting(
        tenant=hold.tenant,
        key=key,
        kind=kind,
        legs=legs,
        occurred_at=occurred_at,
        job_id=job_id,
        subject=f"hold:{hold.id}",
        requires=requires,
    )
