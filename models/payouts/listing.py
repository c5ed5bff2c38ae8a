"""Lists of payouts, by filter, newest first: for people and their scripts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

# A payout's id is its job's: it grows with time, so the primary key serves the list however long the history is.
LIST = text("""
    SELECT id, tenant, owner, amount_minor, currency, provider, state, attempts_made, next_attempt_at, next_lookup_at,
        approval_expires_at, provider_reference, failure_code, requested_by, approved_by, requested_at, updated_at
    FROM payouts
    WHERE (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
        AND (CAST(:owner AS text) IS NULL OR owner = :owner)
        AND (CAST(:provider AS text) IS NULL OR provider = :provider)
        AND (CAST(:states AS text[]) = '{}' OR state = ANY(CAST(:states AS text[])))
        AND (CAST(:requested_before AS timestamptz) IS NULL OR requested_at < :requested_before)
        AND (CAST(:requested_after AS timestamptz) IS NULL OR requested_at >= :requested_after)
        AND (CAST(:before AS uuid) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :rows
""")


@dataclass(frozen=True, slots=True)
class PayoutFilter:
    """Which payouts; None or empty is no restriction. `before` is the id to continue after (older)."""

    tenant: str | None = None
    owner: str | None = None
    provider: str | None = None
    states: Sequence[str] = ()
    requested_before: datetime | None = None
    requested_after: datetime | None = None
    before: UUID | None = None


def list_payouts(session: Session, wanted: PayoutFilter, *, rows: int) -> list[dict[str, Any]]:
    """The newest payouts that fit, newest first."""
    values = asdict(wanted) | {"states": list(wanted.states), "rows": rows}
    return [dict(row) for row in session.execute(LIST, values).mappings()]
