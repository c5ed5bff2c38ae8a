"""Whose turn it is: a tenant is a lane, so that one tenant's slow receiver does not hold back the others.

A lane is quiet for a while after failures or at its receiver's wish (Retry-After), and stands still once its receiver
said 410 Gone, until the tenant's address changes or an operator redelivers.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.arrays import texts
from models.base import require_aware


@dataclass(frozen=True, slots=True)
class LaneNotes:
    """What is known of a tenant's receiver: failures since its last success, and until when it is left alone."""

    failures_in_a_row: int = 0
    quiet_until: datetime | None = None
    gone: bool = False


# A changed address forgets what was known of the old one. Writes nothing when nothing has changed.
SYNC_LANES = text("""
    INSERT INTO notification_lanes (tenant, endpoint)
    SELECT w.tenant, w.endpoint
    FROM unnest(CAST(:tenants AS text[]), CAST(:endpoints AS text[])) AS w (tenant, endpoint)
    LEFT JOIN notification_lanes l ON l.tenant = w.tenant
    WHERE l.endpoint IS DISTINCT FROM w.endpoint ORDER BY 1
    ON CONFLICT (tenant) DO UPDATE
        SET endpoint = excluded.endpoint, failures_in_a_row = 0, quiet_until = NULL, gone_at = NULL
""")

# One dispatcher at a time, so that :lanes_max holds; who comes second leaves it to the first.
LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('ledgerbeat.notifications', 0))")

# Lanes with something due, the longest not served first.
DISPATCH = text("""
    WITH ready AS (
        SELECT l.tenant FROM notification_lanes l
        WHERE l.tenant = ANY(CAST(:tenants AS text[])) AND l.gone_at IS NULL
            AND coalesce(l.quiet_until <= :now, true) AND coalesce(l.dispatched_until <= :now, true)
            AND EXISTS (SELECT FROM notifications n
                        WHERE n.tenant = l.tenant AND n.state = 'pending' AND n.next_try_at <= :now)
        ORDER BY l.dispatched_at NULLS FIRST, l.tenant
        LIMIT greatest(0, :lanes_max - (SELECT count(*) FROM notification_lanes b WHERE b.dispatched_until > :now))
        FOR NO KEY UPDATE OF l SKIP LOCKED
    )
    UPDATE notification_lanes l SET dispatched_at = :now, dispatched_until = :until
    FROM ready WHERE l.tenant = ready.tenant RETURNING l.tenant
""")

OPEN = text("""
    SELECT failures_in_a_row, quiet_until FROM notification_lanes
    WHERE tenant = :tenant AND gone_at IS NULL AND coalesce(quiet_until <= :now, true)
""")

NOTE = text("""
    UPDATE notification_lanes
    SET failures_in_a_row = :failures, quiet_until = :quiet_until, gone_at = CASE WHEN :gone THEN :now END
    WHERE tenant = :tenant AND endpoint = :endpoint
""")

CLOSE = text("UPDATE notification_lanes SET dispatched_until = NULL WHERE tenant = :tenant")


def sync_lanes(session: Session, endpoints: Mapping[str, str]) -> None:
    """One lane per notified tenant; `endpoints` has a fingerprint of each one's address."""
    ordered = sorted(endpoints)
    values = {"tenants": texts(ordered), "endpoints": texts(endpoints[name] for name in ordered)}
    session.execute(SYNC_LANES, values)


def dispatch_lanes(
    session: Session, tenants: Collection[str], *, now: datetime, until: datetime, lanes_max: int
) -> list[str]:
    """Take the lanes that have something due, until `until`; never more than `lanes_max` are taken at a time."""
    if not session.execute(LOCK).scalar_one():
        return []
    values = {"tenants": texts(sorted(tenants)), "now": require_aware(now), "until": require_aware(until),
              "lanes_max": lanes_max}  # fmt: skip
    return list(session.execute(DISPATCH, values).scalars())


def open_lane(session: Session, tenant: str, *, now: datetime) -> LaneNotes | None:
    """What is known of the tenant's receiver; None while it is to be left alone."""
    row = session.execute(OPEN, {"tenant": tenant, "now": require_aware(now)}).one_or_none()
    return None if row is None else LaneNotes(row.failures_in_a_row, row.quiet_until)


def note_lane(session: Session, tenant: str, endpoint: str, notes: LaneNotes, *, now: datetime) -> None:
    """Keep what was learnt of the receiver at `endpoint`; of an address that has been replaced nothing is kept."""
    values = {"tenant": tenant, "endpoint": endpoint, "failures": notes.failures_in_a_row,
              "quiet_until": notes.quiet_until, "gone": notes.gone, "now": require_aware(now)}  # fmt: skip
    session.execute(NOTE, values)


def close_lane(session: Session, tenant: str) -> None:
    """The turn is over: the lane may be dispatched again."""
    session.execute(CLOSE, {"tenant": tenant})
