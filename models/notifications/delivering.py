"""claim -> send -> settle: the rows of a delivery.

A claim leases a notification by setting its `next_try_at` to when the lease ends, and commits before anything is
sent: whoever is killed in between, it is due again then, with the same webhook-id. `tries` tells the claims apart.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware

DEFERRED_ROWS_MAX = 200


@dataclass(frozen=True, slots=True)
class Notification:
    """One claimed notification; `tries` counts this one too."""

    id: int
    tenant: str
    type: str
    subject: str
    version: int
    data: Mapping[str, Any]
    tries: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a claimed notification. `error` is in our words."""

    notification: Notification
    state: Literal["pending", "delivered", "gave_up"]
    next_try_at: datetime | None = None
    error: str | None = None


# The due, the longest due first, of each subject its earliest version only.
CLAIM = text("""
    WITH due AS (
        SELECT id FROM notifications n
        WHERE n.tenant = :tenant AND n.state = 'pending' AND n.next_try_at <= :now
            AND NOT EXISTS (SELECT FROM notifications e WHERE e.tenant = n.tenant AND e.subject = n.subject
                            AND e.version < n.version AND e.state = 'pending')
        ORDER BY n.next_try_at, n.id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE notifications n SET tries = n.tries + 1, next_try_at = :leased_until
    FROM due WHERE n.id = due.id
    RETURNING n.id, n.tenant, n.type, n.subject, n.version, n.data, n.tries, n.created_at
""")

# What is due but waits for an earlier version is due when that one is: so the lane of a receiver that is down is not
# read through again and again. After a claim, when the claimed are leased.
DEFER = text("""
    WITH due AS (
        SELECT * FROM notifications WHERE tenant = :tenant AND state = 'pending' AND next_try_at <= :now
        ORDER BY next_try_at, id LIMIT :limit
    ), blocked AS (
        SELECT due.id, (SELECT max(e.next_try_at) FROM notifications e WHERE e.tenant = due.tenant
            AND e.subject = due.subject AND e.version < due.version AND e.state = 'pending') AS until FROM due
    ), mine AS (
        SELECT n.id, blocked.until FROM notifications n JOIN blocked USING (id)
        WHERE blocked.until > :now AND n.state = 'pending' AND n.next_try_at <= :now
        FOR NO KEY UPDATE OF n SKIP LOCKED
    )
    UPDATE notifications n SET next_try_at = mine.until FROM mine WHERE n.id = mine.id
""")

# A delivery is proof, whoever made it; any other outcome counts only for the claim that it belongs to.
SETTLE = text("""
    UPDATE notifications n SET state = s.state, next_try_at = s.next_try_at, last_error = s.error,
        delivered_at = CASE WHEN s.state = 'delivered' THEN :now END
    FROM jsonb_to_recordset(CAST(:settled AS jsonb)) AS s (id bigint, tries int, state text,
        next_try_at timestamptz, error text)
    WHERE n.id = s.id AND CASE WHEN s.state = 'delivered' THEN n.state <> 'delivered'
                               ELSE n.state = 'pending' AND n.tries = s.tries END
    RETURNING n.id
""")

# The next version of each subject that waits no longer.
FOLLOW = text("""
    UPDATE notifications f SET next_try_at = :now
    FROM (SELECT DISTINCT n.tenant, n.subject FROM notifications n WHERE n.id = ANY(:ids)) AS s
    WHERE f.tenant = s.tenant AND f.subject = s.subject AND f.state = 'pending' AND f.next_try_at > :now
        AND NOT EXISTS (SELECT FROM notifications e WHERE e.tenant = f.tenant AND e.subject = f.subject
                        AND e.version < f.version AND e.state = 'pending')
""")


def claim(
    session: Session, tenant: str, *, now: datetime, leased_until: datetime, limit: int
) -> list[Notification]:
    """Lease up to `limit` notifications of the lane, those that fell due first. Commit, then send."""
    values = {"tenant": tenant, "now": require_aware(now)}
    leasing = {"leased_until": require_aware(leased_until), "limit": limit}
    claimed = [Notification(**row) for row in session.execute(CLAIM, values | leasing).mappings()]
    session.execute(DEFER, {**values, "limit": DEFERRED_ROWS_MAX})
    return claimed


def settle(session: Session, settled: Sequence[Settled], *, now: datetime) -> set[int]:
    """Write what became of them; the ids of those that this call changed. Their subjects go on where they may."""
    rows = [
        {"id": one.notification.id, "tries": one.notification.tries, "state": one.state, "error": one.error,
         "next_try_at": one.next_try_at and one.next_try_at.isoformat()}
        for one in settled
    ]  # fmt: skip
    values = {"settled": json.dumps(rows), "now": require_aware(now)}
    changed = set(session.execute(SETTLE, values).scalars())
    over = [
        one.notification.id for one in settled if one.state != "pending" and one.notification.id in changed
    ]
    session.execute(FOLLOW, {"ids": over, "now": require_aware(now)})
    return changed
