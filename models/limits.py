"""Daily limits as reservations: per owner, currency and the tenant's local day. One `reserve` for every path.

A reservation stands from the admission until the money is proven not to leave (`release_reservations`); a payout in
doubt still counts. What is asked at the admission is what counts later: a payout once admitted stays payable.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, Index, Table, Text, Uuid, text
from sqlalchemy.orm import Session

from models.base import Instant, metadata, require_aware
from models.tenants import Tenant

limit_reservations = Table(
    "limit_reservations",
    metadata,
    Column("payout_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("reserved_at", Instant, nullable=False),
    Column("released_at", Instant),
    CheckConstraint("amount_minor > 0", name="amount"),
    Index(
        "limit_reservations_standing_idx",
        "tenant",
        "owner",
        "currency",
        "business_date",
        postgresql_where=text("released_at IS NULL"),
    ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a payout would take of its owner's day."""

    payout_id: UUID
    owner: str
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class OverLimit:
    """It does not fit: the limit, what is left of it (0 and more), and the tenant's next local midnight."""

    limit_minor: int
    left_minor: int
    resets_at: datetime

    def as_detail(self) -> Mapping[str, Any]:
        """For the job's result."""
        return {
            "limit": "daily_payout_limit_minor",
            "limit_minor": self.limit_minor,
            "left_minor": self.left_minor,
            "resets_at": self.resets_at.isoformat(),
        }


# Whoever reserves for a tenant does so alone: two batches cannot both take what is left.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('ledgerbeat.limits:' || :tenant, 0))")

STANDING = text("""
    SELECT r.payout_id, r.owner, r.currency, r.amount_minor
    FROM unnest(CAST(:owners AS text[]), CAST(:currencies AS text[])) AS k (owner, currency)
    JOIN limit_reservations r ON r.tenant = :tenant AND r.owner = k.owner AND r.currency = k.currency
    WHERE r.business_date = :business_date AND r.released_at IS NULL
""")

INSERT = text("""
    INSERT INTO limit_reservations (payout_id, tenant, owner, currency, business_date, amount_minor, reserved_at)
    SELECT n.payout_id, :tenant, n.owner, n.currency, :business_date, n.amount_minor, :now
    FROM jsonb_to_recordset(CAST(:asked AS jsonb)) AS n (payout_id uuid, owner text, currency text,
        amount_minor bigint)
    ON CONFLICT (payout_id) DO NOTHING
""")

RELEASE = text("""
    UPDATE limit_reservations SET released_at = :now
    WHERE payout_id = ANY(CAST(:ids AS uuid[])) AND released_at IS NULL
""")


RENEW = text("""
    UPDATE limit_reservations SET released_at = NULL WHERE payout_id = ANY(CAST(:ids AS uuid[]))
""")


def resets_at(tenant: Tenant, now: datetime) -> datetime:
    """The tenant's next local midnight, in UTC; where the clocks skip midnight, the moment they do."""
    tomorrow = tenant.business_date(now) + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, ZoneInfo(tenant.timezone)).astimezone(UTC)


def reserve(
    session: Session, tenant: Tenant, asked: Sequence[Asked], *, now: datetime
) -> list[OverLimit | None]:
    """Reserve for each in order what its owner's day still has; None where it stands now (or stood already).

    Written in the caller's transaction even without a limit, so that a limit set at noon counts the morning too.
    """
    if not asked:
        return []
    session.execute(LOCK, {"tenant": tenant.name})
    day = tenant.business_date(now)
    used, known = _standing(session, tenant.name, asked, day)
    answers = [_decide(tenant, one, used, known, now) for one in asked]
    fits = [one for one, answer in zip(asked, answers, strict=True) if answer is None]
    _insert(session, tenant.name, day, fits, require_aware(now))
    return answers


def release_reservations(session: Session, payout_ids: Collection[UUID], *, now: datetime) -> None:
    """Give back what these payouts had taken of their owners' day: once, whoever asks again."""
    if payout_ids:
        session.execute(RELEASE, {"ids": sorted(payout_ids), "now": require_aware(now)})


def renew_reservations(session: Session, payout_ids: Collection[UUID]) -> None:
    """Take again what these payouts had given back of their owners' day, whatever is left of it: it has left."""
    if payout_ids:
        session.execute(RENEW, {"ids": sorted(payout_ids)})


def _decide(
    tenant: Tenant, one: Asked, used: dict[tuple[str, str], int], known: Collection[UUID], now: datetime
) -> OverLimit | None:
    limit, purse = tenant.policy.daily_payout_limit_minor, (one.owner, one.currency)
    if one.payout_id in known:
        return None
    taken = used.get(purse, 0)
    if limit is not None and taken + one.amount_minor > limit:
        return OverLimit(limit, max(limit - taken, 0), resets_at(tenant, now))
    used[purse] = taken + one.amount_minor
    return None


def _standing(
    session: Session, tenant: str, asked: Sequence[Asked], day: date
) -> tuple[dict[tuple[str, str], int], set[UUID]]:
    purses = sorted({(one.owner, one.currency) for one in asked})
    values = {
        "tenant": tenant,
        "business_date": day,
        "owners": [owner for owner, _ in purses],
        "currencies": [currency for _, currency in purses],
    }
    used: dict[tuple[str, str], int] = {}
    known: set[UUID] = set()
    for payout_id, owner, currency, amount_minor in session.execute(STANDING, values):
        used[owner, currency] = used.get((owner, currency), 0) + amount_minor
        known.add(payout_id)
    return used, known


def _insert(session: Session, tenant: str, day: date, asked: Sequence[Asked], now: datetime) -> None:
    if asked:
        rows = [
            {"payout_id": str(one.payout_id), "owner": one.owner, "currency": one.currency,
             "amount_minor": one.amount_minor}
            for one in asked
        ]  # fmt: skip
        values = {"tenant": tenant, "business_date": day, "asked": json.dumps(rows), "now": now}
        session.execute(INSERT, values)
