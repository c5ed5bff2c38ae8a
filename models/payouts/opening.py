"""Opening payouts: the row, its history and the news, for holds that stand. Not a decision: admission decides."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware
from models.payouts.moving import RECORD, tell
from models.payouts.payout import Payout

# A payout that stands already stays as it is: the same request again opens nothing.
INSERT = text("""
    INSERT INTO payouts (id, tenant, owner, amount_minor, currency, provider, destination, state, requested_by,
        business_date, requested_at, updated_at, next_attempt_at, approval_expires_at)
    SELECT n.id, n.tenant, n.owner, n.amount_minor, n.currency, n.provider, n.destination, n.state, n.requested_by,
        n.business_date, n.requested_at, :now, n.next_attempt_at, n.approval_expires_at
    FROM jsonb_to_recordset(CAST(:payouts AS jsonb)) AS n (id uuid, tenant text, owner text, amount_minor bigint,
        currency text, provider text, destination text, state text, requested_by text, business_date date,
        requested_at timestamptz, next_attempt_at timestamptz, approval_expires_at timestamptz)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
""")


@dataclass(frozen=True, slots=True)
class Opening:
    """A new payout, `approved` or `awaiting_approval`, and the ledger transaction that placed its hold."""

    payout: Payout
    transaction_id: int


def open_payouts(session: Session, openings: Sequence[Opening], *, now: datetime) -> None:
    """Write them with their first event. Their holds were placed in this transaction, by post()."""
    if not openings:
        return
    rows = json.dumps([asdict(one.payout) for one in openings], default=str)
    new = set(session.execute(INSERT, {"payouts": rows, "now": require_aware(now)}).scalars())
    opened = [one for one in openings if one.payout.id in new]
    events: list[dict[str, Any]] = [
        {
            "payout_id": one.payout.id,
            "tenant": one.payout.tenant,
            "cause": "requested",
            "to_state": one.payout.state,
            "version": 1,
            "actor": one.payout.requested_by,
            "job_id": one.payout.id,
            "transaction_id": one.transaction_id,
            "detail": {},
        }
        for one in opened
    ]
    session.execute(RECORD, {"events": json.dumps(events, default=str), "now": require_aware(now)})
    tell(session, [one.payout for one in opened], now=now)
